import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createFakeClient, type FakeClient } from "../../src/client/index.ts";
import {
  compareLive,
  type Comparison,
  createCluster,
  noObjects,
  parseReference,
  parseTarget,
  tracePacket,
} from "../../src/explain/index.ts";
import { type Node, type Pod, resources } from "../../src/kube/index.ts";
import { type Proxy, removeProxy, startProxy } from "../../src/proxy/index.ts";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";
import { clientPod, createLab, labNode, type Lab, nodeAddress, outside, podAddress, whyNoLab } from "../proxy/lab.ts";
import { service, slice } from "../proxy/objects.ts";

const why = whyNoLab ? ` (${whyNoLab})` : "";
const nft = (input: string) => runOrThrow(systemCommands, "nft", ["-f", "-"], { input });

describe.skipIf(whyNoLab).each(["nftables", "iptables"] as const)(`trace packet --live: %s${why}`, (mode) => {
  let lab: Lab;
  let client: FakeClient;
  let proxy: Proxy;
  const stop = new AbortController();

  beforeAll(async () => {
    lab = await createLab();
    await lab.pods.serve({ address: podAddress(0), port: 8080 });
    await lab.pods.serve({ address: podAddress(1), port: 8080 });
    await lab.pods.serve({ address: podAddress(0), port: 8080, protocol: "UDP" });
    client = createFakeClient();
    client.put(resources.Node, {
      metadata: { name: "node1" },
      spec: {},
      status: { addresses: [{ type: "InternalIP", address: nodeAddress }] },
    });
    client.put(resources.Pod, {
      metadata: { namespace: "default", name: "client" },
      spec: { nodeName: "node1", containers: [{ name: "c" }] },
      status: { phase: "Running", podIP: clientPod, conditions: [{ type: "Ready", status: "True" }] },
    });
    const put = (name: string, spec: object, addresses: readonly string[], lb: string[] = [], nodeName = "node1") => {
      client.put(resources.Service, service(name, spec, { lb }));
      client.put(resources.EndpointSlice, slice(name, addresses, { nodeName }));
    };
    const two = [podAddress(0), podAddress(1)];
    put("web", { clusterIP: "10.96.0.20" }, two);
    put("empty", { clusterIP: "10.96.0.21" }, []);
    put("node-port", { type: "NodePort", clusterIP: "10.96.0.22", ports: [{ port: 80, nodePort: 30_080 }] }, two);
    put("silent", { clusterIP: "10.96.0.23" }, ["10.42.2.99"]);
    put("closed", { clusterIP: "10.96.0.24" }, [podAddress(7)]);
    const local = { type: "LoadBalancer", externalTrafficPolicy: "Local" };
    put("kept", { ...local, clusterIP: "10.96.0.25" }, two, ["10.97.0.1"]);
    put("away", { ...local, clusterIP: "10.96.0.26" }, two, ["10.97.0.2"], "node2");
    const guarded = { type: "LoadBalancer", loadBalancerSourceRanges: ["10.0.0.0/8"] };
    put("guarded", { ...guarded, clusterIP: "10.96.0.27" }, two, ["10.97.0.3"]);
    client.put(resources.Service, service("udp", { clusterIP: "10.96.0.28", ports: [{ port: 53, protocol: "UDP" }] }));
    client.put(resources.EndpointSlice, slice("udp", [podAddress(0)], { protocol: "UDP" }));

    proxy = await startProxy({
      ...labNode,
      client,
      mode,
      nodeAddresses: [nodeAddress],
      signal: stop.signal,
    });
    await proxy.ready;
  });
  afterAll(async () => {
    stop.abort();
    await proxy?.stopped;
    await removeProxy(systemCommands);
    await lab?.close();
  });
  afterEach(async () => {
    await nft("add table inet firewall\ndelete table inet firewall\n");
  });

  async function live(from: string, to: string): Promise<Comparison & { verdict: string; node: string }> {
    const list = async <T>(resource: { kind: string }): Promise<readonly T[]> =>
      (await client.list(resource as typeof resources.Pod)).items as never;
    const cluster = createCluster(
      {
        ...noObjects,
        services: await list(resources.Service),
        slices: await list(resources.EndpointSlice),
        nodes: await list<Node>(resources.Node),
        pods: await list<Pod>(resources.Pod),
      },
      { clusterDomain: "cluster.local", podCidrs: ["10.42.0.0/16"], serviceCidrs: ["10.96.0.0/16"] },
    );
    const trace = tracePacket(cluster, { from: parseReference(from, "default"), to: parseTarget(to, "default") });
    const namespaces = async () => [`fl-client-${process.pid}`, `fl-node-${process.pid}`, `fl-pods-${process.pid}`];
    const found = await compareLive(trace, { commands: systemCommands, nodeAddresses: [nodeAddress], namespaces });
    return { ...found, verdict: trace.verdict, node: trace.node };
  }

  test.each([
    [
      "a pod to a cluster IP",
      "pod/client",
      "service/web",
      "forward",
      /sent to 10\.42\.2\.[23]:8080; client address kept/,
    ],
    ["a client outside to a NodePort", outside, `${nodeAddress}:30080`, "forward", /masked as 10\.42\.2\.1/],
    ["the node itself", "node/node1", "service/web", "forward", /masked as 10\.42\.2\.1/],
    ["no endpoint", "pod/client", "service/empty", "reject", /refused/],
    ["a port that no Service has", "pod/client", "10.96.0.20:81", "reject", /refused/],
    ["policy Local, kept source", outside, "10.97.0.1:80", "forward", /client address kept/],
    ["policy Local without endpoint", outside, "10.97.0.2:80", "drop", /silent/],
    ["outside of the source ranges", outside, "10.97.0.3:80", "drop", /silent/],
    ["UDP", "pod/client", "10.96.0.28:53/udp", "forward", /sent to 10\.42\.2\.2:8080.*answered/],
  ])("the model and the kernel agree: %s", async (_, from, to, verdict, kernel) => {
    const found = await live(from, to);
    expect(found, JSON.stringify(found)).toMatchObject({ verdict, agrees: true, unseen: [] });
    expect(found.kernel).toMatch(kernel);
  });

  test("an endpoint that refuses, and one that is silent, are told from the proxy's doing", async () => {
    const closed = await live("pod/client", "service/closed");
    expect(closed).toMatchObject({ agrees: true, findings: [expect.stringContaining("no process listens on")] });
    const silent = await live("pod/client", "service/silent");
    expect(silent.findings[0]).toMatch(/no answer came/);
  });

  test("a foreign rule that drops is found, with its table, chain and text", async () => {
    await nft(`table inet firewall {
      chain forward {
        type filter hook forward priority 0; policy accept;
        ip daddr 10.42.2.0/24 tcp dport 8080 drop comment "office hours"
      }
    }\n`);
    const found = await live("pod/client", "service/web");
    expect(found).toMatchObject({ agrees: false, foreign: { table: "inet firewall", chain: "forward" } });
    expect(found.findings[0]).toContain("office hours");
  });

  test("a foreign policy that drops before the proxy is found", async () => {
    await nft(`table inet firewall {
      chain early {
        type filter hook prerouting priority -200; policy accept;
        ip saddr ${outside} tcp dport 30080 drop
      }
    }\n`);
    const found = await live(outside, `${nodeAddress}:30080`);
    expect(found).toMatchObject({ verdict: "forward", agrees: false, foreign: { chain: "early" } });
  });

  test("a client that is nowhere on this machine cannot be had, and that is said", async () => {
    const found = await live("203.0.113.77", "10.97.0.1:80");
    expect(found.agrees).toBeUndefined();
    expect(found.unseen[0]).toContain("no network namespace of this machine has 203.0.113.77");
  });
});
