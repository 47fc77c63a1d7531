import { spawnSync } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../../src/system/index.ts";
import { eventually, tearDown, type TestCluster, upCluster } from "../../support/cluster.ts";
import { type Lab, noKernel, noUnprivileged, openLab, repository, type Running } from "../../support/lab.ts";
import { providerLab, type ProviderLab } from "../../support/provider-lab.ts";
import { client, secret, subscription, tenant, type AzureState } from "./server.mjs";

// Azure is a contract server (server.mjs); a real HAProxy does what its load balancer says, where its security group lets clients in.
const user = noKernel ? "unprivileged" : "root";
const noHaproxy = spawnSync("haproxy", ["-v"]).error ? "needs haproxy" : undefined;
const why = noHaproxy ?? (noKernel && noUnprivileged);

describe.skipIf(why)(`Azure: Service, operations, data path, pod${why ? ` (skipped: ${why})` : ""}`, () => {
  let lab: Lab;
  let cluster: TestCluster;
  let server: Running;
  let at: ProviderLab<AzureState>;

  const kinds = async () => {
    const { things, invalid } = await at.state();
    expect(invalid).toEqual([]);
    return things.map(({ id }) => id.split("/").at(-2)).sort();
  };

  beforeAll(async () => {
    lab = await openLab(user);
    cluster = await upCluster(lab);
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const folder = join(lab.dir, "azure");
    await mkdir(folder);
    await chmod(folder, 0o777);
    const program = join(repository, "test/loadbalancer/azure/server.mjs");
    server = lab.start(process.execPath, [program, String(port), folder]);
    const config = join(lab.dir, "providers.json");
    const place = {
      subscription,
      resourceGroup: "lab",
      location: "lab",
      virtualNetwork: "net",
      securityGroup: "nodes",
    };
    const who = { tenant, clientId: client, clientSecret: secret, authority: url, endpoint: url };
    const of = { ...place, ...who, subnet: "nodes", floatingIp: false, pollMs: 50 };
    await writeFile(config, JSON.stringify({ cluster: "lab", providers: [{ module: "azure", config: of }] }));
    at = providerLab({ lab, cluster, url, config, loadBalancerClass: "fairlead.dev/azure" });
    await eventually("Azure answers", () => at.state());
    await at.kubectl("create", "deployment", "web", "--image=fairlead.dev/echo", "--port=8080", "--replicas=2");
    await at.kubectl("rollout", "status", "deployment/web", "--timeout=90s");
    at.startController();
  });
  afterAll(async () => {
    await at?.stopController();
    await server?.stop();
    await tearDown(lab, cluster);
  });

  it("a request reaches pods by the public address; a second Service is a part of the same load balancer", async () => {
    await at.expose("web", 7_080);
    expect(await at.addressOf("web")).toEqual({ ip: "127.97.0.10", ipMode: "Proxy" });
    await at.answers("127.97.0.10", 7_080);
    await at.expose("again", 7_080);
    expect(await at.addressOf("again")).toMatchObject({ ip: "127.97.0.11" });
    await at.answers("127.97.0.11", 7_080);
    expect(await kinds()).toEqual([
      "loadBalancers",
      "publicIPAddresses",
      "publicIPAddresses",
      "securityRules",
      "securityRules",
    ]);
  });

  it("source ranges keep others out", async () => {
    await at.expose("web", 7_080, { loadBalancerSourceRanges: ["192.0.2.0/24"] });
    await eventually("nobody is let in", async () => {
      const { code } = await lab.run("bash", ["-c", "exec 3<>/dev/tcp/127.97.0.10/7080"]);
      return code === 0 ? undefined : true;
    });
    await at.answers("127.97.0.11", 7_080);
    await at.expose("web", 7_080, { loadBalancerSourceRanges: [] });
    await at.answers("127.97.0.10", 7_080);
  });

  it("faults in the middle of a change: the port moves, the address stays, a neighbour goes on", async () => {
    for (const [i, fault] of [
      { busy: 2, lose: 1 },
      { fail: 1, conflict: 1, revoke: true },
    ].entries()) {
      await at.post("/_test/mode", fault);
      await at.expose("web", 7_090 + i);
      await at.answers("127.97.0.10", 7_090 + i);
    }
    await at.answers("127.97.0.11", 7_080);
  });

  it("a start anew writes nothing; what goes leaves nothing; the secret is in no log", async () => {
    await at.addressOf("web");
    const { writes } = await at.state();
    const said = at.output();
    await at.stopController();
    at.startController();
    await at.kubectl("delete", "service", "again", "--timeout=60s");
    // Its security rule, its part and its address: of the Service that stays nothing was written.
    expect((await at.state()).writes).toBe(writes + 3);
    await at.answers("127.97.0.10", 7_091);
    await at.kubectl("delete", "service", "web", "--timeout=60s");
    expect(await kinds()).toEqual([]);
    expect(said + at.output()).not.toContain(secret);
  });
});
