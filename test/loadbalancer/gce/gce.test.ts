import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../../src/system/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../../support/cluster.ts";
import { type Lab, noKernel, openLab, repository, type Running } from "../../support/lab.ts";
import { providerLab, type ProviderLab } from "../../support/provider-lab.ts";
import { account, project, type GceState } from "./server.mjs";

// Compute Engine is a contract server (server.mjs). A passthrough load balancer leads packets on as they are, which no proxy does: the server sets
// routes of a client's network namespace, to machines that answer real health checks and that firewall rules let through.
describe.skipIf(noKernel)(`GCE: Service, operations, packets, pod${noKernel ? ` (skipped: ${noKernel})` : ""}`, () => {
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
    server = lab.start(process.execPath, [program, String(port), publicFile]);
    const config = join(lab.dir, "providers.json");
    const endpoint = `${url}/compute/v1`;
    const settings = { project, region: "r1", nodeTags: ["nodes"], credentialsFile, endpoint, pollMs: 50 };
    await writeFile(config, JSON.stringify({ cluster: "lab", providers: [{ module: "gce", config: settings }] }));
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
