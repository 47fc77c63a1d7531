import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Service } from "../../../src/kube/index.ts";
import { freePort } from "../../../src/system/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../../support/cluster.ts";
import { type Lab, noKernel, openLab, repository, type Running } from "../../support/lab.ts";
import { load } from "../../support/load.ts";
import { account, project, type GceState } from "./server.mjs";

// Compute Engine is a contract server (server.mjs). A passthrough load balancer leads packets on as they are, which no proxy does: the server sets
// routes of a client's network namespace, to machines that answer real health checks and that firewall rules let through.
describe.skipIf(noKernel)(`GCE: Service, operations, packets, pod${noKernel ? ` (skipped: ${noKernel})` : ""}`, () => {
  const namespace = `fairlead-gce-${process.pid}`;
  const gateway = "192.0.2.2";
  let lab: Lab;
  let client: Lab;
  let cluster: TestCluster;
  let server: Running;
  let controller: Running;
  let url = "";
  let config = "";
  let key = "";

  const kubectl = async (...args: string[]) => printed(await cluster.kubectl(args));
  const ask = async (method: string, path: string, body?: object) => {
    const script = `const r = await fetch(${JSON.stringify(url + path)}, { method: "${method}", body: ${JSON.stringify(body ? JSON.stringify(body) : null)} ?? undefined }); console.log(await r.text())`;
    return printed(await lab.run(process.execPath, ["--input-type=module", "-e", script]));
  };
  const state = async () => JSON.parse(await ask("GET", "/_test/state")) as GceState;
  const startController = () => {
    const words = ["loadbalancer", "--no-probe", "--kubeconfig", cluster.kubeconfig, "--config", config];
    controller = lab.start(process.execPath, [join(repository, "fairlead"), ...words]);
  };
  const addressOf = (name: string) =>
    eventually(
      `Service ${name} is ready`,
      async () => {
        const { status } = JSON.parse(await kubectl("get", "service", name, "-o", "json")) as Service;
        const ready = status?.conditions?.find(({ type }) => type === "fairlead.dev/LoadBalancerReady");
        if (ready?.status === "True") return status?.loadBalancer?.ingress?.[0];
        throw new Error(`${ready?.reason}: ${ready?.message} ${controller.output().slice(-500)}`);
      },
      60,
    );
  const expose = async (name: string, port: number) => {
    const ports = [{ name: "http", port, targetPort: 8_080 }];
    const of = {
      selector: { app: "web" },
      ports,
      externalTrafficPolicy: "Local",
      allocateLoadBalancerNodePorts: false,
    };
    const spec = { type: "LoadBalancer", loadBalancerClass: "fairlead.dev/gce", ...of };
    const file = join(lab.dir, `${name}.json`);
    await writeFile(file, JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name }, spec }));
    await kubectl("apply", "-f", file);
  };
  const answers = (address: string, port: number) =>
    eventually(
      `${address}:${port} answers`,
      async () => {
        const { ok, failures } = await load(client, { url: `http://${address}:${port}/`, count: 10 });
        if (ok !== 10) throw new Error(`${JSON.stringify(failures[0])} ${JSON.stringify((await state()).unhealthy)}`);
        return true;
      },
      15,
    );

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
    client = {
      ...lab,
      run: (file, args, options) => lab.run("ip", ["netns", "exec", namespace, file, ...args], options),
    };
    cluster = await upCluster(lab);
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const [publicFile, credentialsFile] = [join(lab.dir, "key.pub"), join(lab.dir, "key.json")];
    await writeFile(publicFile, publicKey.export({ type: "spki", format: "pem" }));
    const of = { type: "service_account", client_email: account, private_key_id: "key-1", private_key: key };
    await writeFile(credentialsFile, JSON.stringify({ ...of, token_uri: `${url}/token` }));
    const program = join(repository, "test/loadbalancer/gce/server.mjs");
    server = lab.start(process.execPath, [program, String(port), publicFile]);
    config = join(lab.dir, "providers.json");
    const endpoint = `${url}/compute/v1`;
    const settings = { project, region: "r1", nodeTags: ["nodes"], credentialsFile, endpoint, pollMs: 50 };
    await writeFile(config, JSON.stringify({ cluster: "lab", providers: [{ module: "gce", config: settings }] }));
    await eventually("Compute Engine answers", () => state());
    const nodes = JSON.parse(await kubectl("get", "nodes", "-o", "json")) as {
      items: { metadata: { name: string }; status: { addresses: { type: string; address: string }[] } }[];
    };
    const [node] = nodes.items;
    const address = node?.status.addresses.find(({ type }) => type === "InternalIP")?.address ?? "";
    const providerID = `gce://${project}/z1/node-1`;
    await kubectl("patch", "node", node?.metadata.name ?? "", "-p", JSON.stringify({ spec: { providerID } }));
    await ask("POST", "/_test/network", { namespace, via: { [address]: gateway } });
    await kubectl("create", "deployment", "web", "--image=fairlead.dev/echo", "--port=8080", "--replicas=2");
    await kubectl("rollout", "status", "deployment/web", "--timeout=90s");
    startController();
  });
  afterAll(async () => {
    await controller?.stop();
    await server?.stop();
    await lab?.run("ip", ["netns", "delete", namespace]);
    await tearDown(lab, cluster);
  });

  it("a client's packets reach pods by the address that Compute Engine gave, without node ports", async () => {
    await expose("web", 7_080);
    const found = await addressOf("web");
    expect(found).toEqual({ ip: "10.240.9.10", ipMode: "VIP" });
    await answers("10.240.9.10", 7_080);
    expect((await state()).invalid).toEqual([]);
  });

  it("health decides: without pods no machine is sent to, with pods again", async () => {
    await kubectl("scale", "deployment", "web", "--replicas=0");
    await eventually(
      "nothing is sent",
      async () => (Object.keys((await state()).routed).length === 0 ? true : undefined),
      60,
    );
    await kubectl("scale", "deployment", "web", "--replicas=2");
    await answers("10.240.9.10", 7_080);
  });

  it("faults in the middle of a change: the port moves, the address stays, a neighbour goes on", async () => {
    await expose("again", 7_180);
    await answers((await addressOf("again"))?.ip ?? "", 7_180);
    for (const [i, fault] of [{ busy: 2 }, { lose: 1 }, { fail: 1 }, { revoke: true }].entries()) {
      await ask("POST", "/_test/mode", fault);
      await expose("web", 7_090 + i);
      await answers("10.240.9.10", 7_090 + i);
    }
    await answers("10.240.9.11", 7_180);
    expect((await state()).invalid).toEqual([]);
  });

  it("a start anew writes nothing; what goes leaves nothing; the key is in no log", async () => {
    const { writes } = await state();
    const said = controller.output();
    await controller.stop();
    startController();
    await kubectl("delete", "service", "again", "--timeout=60s");
    await answers("10.240.9.10", 7_093);
    const { things } = await state();
    expect(Object.keys(things).filter((path) => path.includes("/forwardingRules/"))).toHaveLength(1);
    // Of the Service that stays nothing was written: seven things of the other were removed.
    expect((await state()).writes).toBe(writes + 7);
    await kubectl("delete", "service", "web", "--timeout=60s");
    expect(await state()).toMatchObject({ things: {}, endpoints: {} });
    const line = key.split("\n")[3] ?? "none";
    expect(said + controller.output()).not.toContain(line);
  });
});
