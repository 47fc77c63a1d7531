import { generateKeyPairSync } from "node:crypto";
import { spawnSync } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Ingress } from "../../../src/kube/index.ts";
import { freePort } from "../../../src/system/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../../support/cluster.ts";
import { type Lab, noKernel, openLab, repository, type Running } from "../../support/lab.ts";
import { load } from "../../support/load.ts";
import { providerLab, type ProviderLab } from "../../support/provider-lab.ts";
import { proxyRange } from "./http.mjs";
import { account, project, type GceState } from "./server.mjs";

// Compute Engine is a contract server (server.mjs). A passthrough load balancer leads packets on as they are, which no proxy does: the server sets
// routes of a client's network namespace, to machines that answer real health checks and that firewall rules let through. A real HAProxy does what an
// Application Load Balancer says.
const missing = ["haproxy", "openssl", "curl"].find((name) => spawnSync(name, ["--version"]).error);
const why = noKernel ?? (missing && `needs ${missing}`);
describe.skipIf(why)(`GCE: Service, Ingress, operations, packets, pod${why ? ` (skipped: ${why})` : ""}`, () => {
  const namespace = `fairlead-gce-${process.pid}`;
  const gateway = "192.0.2.2";
  let lab: Lab;
  let cluster: TestCluster;
  let server: Running;
  let at: ProviderLab<GceState>;
  let key = "";

  const local = { externalTrafficPolicy: "Local", allocateLoadBalancerNodePorts: false };
  const expose = (name: string, port: number) => at.expose(name, port, local);
  beforeAll(async () => {
    lab = await openLab("root");
    const ip = async (...args: string[]) => printed(await lab.run("ip", args));
    await ip("netns", "add", namespace);
    await ip("link", "add", "gce0", "type", "veth", "peer", "name", "gce1");
    await ip("link", "set", "gce1", "netns", namespace);
    await ip("address", "add", `${gateway}/24`, "dev", "gce0");
    await ip("link", "set", "gce0", "up");
    await ip("-n", namespace, "address", "add", "192.0.2.1/24", "dev", "gce1");
    await ip("-n", namespace, "link", "set", "gce1", "up");
    const client: Lab = {
      ...lab,
      run: (file, args, options) => lab.run("ip", ["netns", "exec", namespace, file, ...args], options),
    };
    cluster = await upCluster(lab);
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const [publicFile, credentialsFile] = [join(lab.dir, "key.pub"), join(lab.dir, "key.json")];
    await writeFile(publicFile, publicKey.export({ type: "spki", format: "pem" }));
    const of = { type: "service_account", client_email: account, private_key_id: "key-1", private_key: key };
    await writeFile(credentialsFile, JSON.stringify({ ...of, token_uri: `${url}/token` }));
    const program = join(repository, "test/loadbalancer/gce/server.mjs");
    const folder = join(lab.dir, "haproxy");
    await mkdir(folder);
    await chmod(folder, 0o777);
    server = lab.start(process.execPath, [program, String(port), publicFile, folder]);
    const config = join(lab.dir, "providers.json");
    const endpoint = `${url}/compute/v1`;
    const settings = {
      project,
      region: "r1",
      nodeTags: ["nodes"],
      proxyRanges: [proxyRange],
      credentialsFile,
      endpoint,
    };
    await writeFile(
      config,
      JSON.stringify({ cluster: "lab", providers: [{ module: "gce", config: { ...settings, pollMs: 50 } }] }),
    );
    at = providerLab({ lab, cluster, url, config, client, loadBalancerClass: "fairlead.dev/gce" });
    await eventually("Compute Engine answers", () => at.state());
    const nodes = JSON.parse(await at.kubectl("get", "nodes", "-o", "json")) as {
      items: { metadata: { name: string }; status: { addresses: { type: string; address: string }[] } }[];
    };
    const [node] = nodes.items;
    const address = node?.status.addresses.find(({ type }) => type === "InternalIP")?.address ?? "";
    const providerID = `gce://${project}/z1/node-1`;
    await at.kubectl("patch", "node", node?.metadata.name ?? "", "-p", JSON.stringify({ spec: { providerID } }));
    await at.post("/_test/network", { namespace, via: { [address]: gateway } });
    await at.kubectl("create", "deployment", "web", "--image=fairlead.dev/echo", "--port=8080", "--replicas=2");
    await at.kubectl("rollout", "status", "deployment/web", "--timeout=90s");
    at.startController();
  });
  afterAll(async () => {
    await at?.stopController();
    await server?.stop();
    await lab?.run("ip", ["netns", "delete", namespace]);
    await tearDown(lab, cluster);
  });

  it("a client's packets reach pods by the address that Compute Engine gave, without node ports", async () => {
    await expose("web", 7_080);
    const found = await at.addressOf("web");
    expect(found).toEqual({ ip: "10.240.9.10", ipMode: "VIP" });
    await at.answers("10.240.9.10", 7_080);
    expect((await at.state()).invalid).toEqual([]);
  });

  it("health decides: without pods no machine is sent to, with pods again", async () => {
    await at.kubectl("scale", "deployment", "web", "--replicas=0");
    await eventually(
      "nothing is sent",
      async () => (Object.keys((await at.state()).routed).length === 0 ? true : undefined),
      60,
    );
    await at.kubectl("scale", "deployment", "web", "--replicas=2");
    await at.answers("10.240.9.10", 7_080);
  });

  it("faults in the middle of a change: the port moves, the address stays, a neighbour goes on", async () => {
    await expose("again", 7_180);
    await at.answers((await at.addressOf("again"))?.ip ?? "", 7_180);
    for (const [i, fault] of [
      { busy: 2, lose: 1 },
      { fail: 1, revoke: true },
    ].entries()) {
      await at.post("/_test/mode", fault);
      await expose("web", 7_090 + i);
      await at.answers("10.240.9.10", 7_090 + i);
    }
    await at.answers("10.240.9.11", 7_180);
    expect((await at.state()).invalid).toEqual([]);
  });

  it("an Ingress leads requests by host and path, over HTTPS too, through faults, and goes without a trace", async () => {
    const apply = async (name: string, object: object) => {
      const file = join(lab.dir, `${name}.json`);
      await writeFile(file, JSON.stringify(object));
      await at.kubectl("apply", "-f", file);
    };
    const before = Object.keys((await at.state()).things).sort();
    await at.kubectl(
      "expose",
      "deployment",
      "web",
      "--name=site",
      "--type=NodePort",
      "--port=80",
      "--target-port=8080",
    );
    const [tlsKey, certificate] = [join(lab.dir, "tls.key"), join(lab.dir, "tls.crt")];
    const made = [
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-days",
      "2",
      "-keyout",
      tlsKey,
      "-out",
      certificate,
    ];
    const subject = ["-subj", "/CN=site.example", "-addext", "subjectAltName=DNS:site.example"];
    printed(await lab.run("openssl", [...made, ...subject]));
    await at.kubectl("create", "secret", "tls", "site", `--cert=${certificate}`, `--key=${tlsKey}`);
    await apply("class", {
      apiVersion: "networking.k8s.io/v1",
      kind: "IngressClass",
      metadata: { name: "gce" },
      spec: { controller: "fairlead.dev/gce" },
    });
    const path = (of: string, pathType: string) => {
      return { path: of, pathType, backend: { service: { name: "site", port: { number: 80 } } } };
    };
    const expose = (paths: object[]) =>
      apply("site", {
        apiVersion: "networking.k8s.io/v1",
        kind: "Ingress",
        metadata: { name: "site" },
        spec: {
          ingressClassName: "gce",
          rules: [{ host: "site.example", http: { paths } }],
          tls: [{ hosts: ["site.example"], secretName: "site" }],
        },
      });
    await at.post("/_test/mode", { busy: 2, lose: 2, fail: 1 });
    await expose([path("/shop", "Prefix"), path("/exact", "Exact")]);
    const address = await eventually(
      "the Ingress has an address",
      async () => {
        const { status } = JSON.parse(await at.kubectl("get", "ingress", "site", "-o", "json")) as Ingress;
        const [found] = status?.loadBalancer?.ingress ?? [];
        if (found?.ip) return found.ip;
        throw new Error(at.output().slice(-800));
      },
      60,
    );
    const answers = (url: string, host: string, status: number) =>
      eventually(
        `${host} ${url} answers ${status}`,
        async () => {
          const args = ["-sk", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "--connect-to", `::${address}:`];
          const code = (await lab.run("curl", [...args, url, "-H", `Host: ${host}`])).stdout.trim();
          if (code === String(status)) return true;
          throw new Error(`${code} ${JSON.stringify(await at.state()).slice(-400)}`);
        },
        60,
      );
    await answers("http://site.example/shop", "site.example", 200);
    await answers("https://site.example/shop/cart", "site.example", 200);
    await answers("http://site.example/exact", "site.example", 200);
    await answers("http://site.example/exact/more", "site.example", 404);
    await answers("http://site.example/shopping", "site.example", 404);
    await answers("http://site.example/shop", "elsewhere.example", 404);
    const { ok } = await load(lab, { url: `http://${address}/shop`, host: "site.example", count: 10 });
    expect(ok).toBe(10);
    await at.post("/_test/mode", { busy: 1, fail: 1, revoke: true });
    await expose([path("/shopping", "Prefix")]);
    await answers("http://site.example/shopping", "site.example", 200);
    await answers("http://site.example/exact", "site.example", 404);
    expect((await at.state()).invalid).toEqual([]);
    await at.kubectl("delete", "ingress", "site", "--timeout=60s");
    expect(Object.keys((await at.state()).things).sort()).toEqual(before);
    const secret = (await readFile(tlsKey, "utf8")).split("\n")[2] ?? "none";
    expect(at.output()).not.toContain(secret);
  });

  it("a start anew writes nothing; what goes leaves nothing; the key is in no log", async () => {
    await at.addressOf("web");
    const { writes } = await at.state();
    const said = at.output();
    await at.stopController();
    at.startController();
    await at.kubectl("delete", "service", "again", "--timeout=60s");
    await at.answers("10.240.9.10", 7_091);
    const { things } = await at.state();
    expect(Object.keys(things).filter((path) => path.includes("/forwardingRules/"))).toHaveLength(1);
    // Of the Service that stays nothing was written: seven things of the other were removed.
    expect((await at.state()).writes).toBe(writes + 7);
    await at.kubectl("delete", "service", "web", "--timeout=60s");
    expect(await at.state()).toMatchObject({ things: {}, endpoints: {} });
    const line = key.split("\n")[3] ?? "none";
    expect(said + at.output()).not.toContain(line);
  });
});
