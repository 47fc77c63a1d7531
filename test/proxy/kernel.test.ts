import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createFakeClient, type FakeClient } from "../../src/client/index.ts";
import { resources } from "../../src/kube/index.ts";
import { childNft, createNftablesBackend } from "../../src/proxy/nftables/index.ts";
import { createServiceModel, type ProxyContext } from "../../src/services/index.ts";
import { removeProxy, startProxy, type Proxy } from "../../src/proxy/index.ts";
import { silentLogger, systemClock, systemCommands, type Logger } from "../../src/system/index.ts";
import {
  clientPod,
  createLab,
  labNode,
  nodeAddress,
  outside,
  podAddress,
  whyNoLab,
  type Answers,
  type Lab,
} from "./lab.ts";
import { service, slice } from "./objects.ts";

const endpoints = (...indexes: number[]) => indexes.map(podAddress);
/** Which endpoints answered. */
const whoAnswered = (answers: Answers) =>
  [...new Set(Object.keys(answers).map((answer) => answer.split(" ")[0]))].sort();
/** Which client addresses the endpoints saw. */
const seenAs = (answers: Answers) => [...new Set(Object.keys(answers).map((answer) => answer.split(" ")[1]))].sort();

const why = whyNoLab ? ` (${whyNoLab})` : "";

describe.skipIf(whyNoLab).each(["nftables", "iptables"] as const)(`Services in the kernel: %s${why}`, (mode) => {
  let lab: Lab;
  let client: FakeClient;
  let proxy: Proxy;
  let stop: AbortController;
  let errors: unknown[] = [];
  const log: Logger = { ...silentLogger, error: (fields) => errors.push(fields), child: () => log };

  async function begin(): Promise<void> {
    stop = new AbortController();
    proxy = await startProxy({
      ...labNode,
      client,
      mode,
      signal: stop.signal,
      log,
    });
    await proxy.ready;
  }

  /** Ends the proxy; no transaction may have failed meanwhile. */
  async function end(): Promise<void> {
    stop.abort();
    await proxy.stopped;
    expect(errors.splice(0)).toEqual([]);
  }

  /** Waits until the rows follow the objects: events come in the turn of the loop after the write. */
  async function settled(): Promise<void> {
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    await proxy.settled();
    expect(proxy.failure()).toBeUndefined();
  }

  beforeAll(async () => {
    lab = await createLab();
    for (let i = 0; i < 20; i++) {
      for (let port = 8080; port < 8084; port++) await lab.pods.serve({ address: podAddress(i), port });
      await lab.pods.serve({ address: podAddress(i), port: 8080, protocol: "UDP" });
    }
  });
  afterAll(() => lab?.close());
  beforeEach(async () => {
    client = createFakeClient();
    await begin();
  });
  afterEach(async () => {
    await end();
    await removeProxy(systemCommands);
  });

  test("connections to a cluster IP are spread over all endpoints, and pods keep their address", async () => {
    client.put(resources.Service, service("web", { clusterIP: "10.96.0.20" }));
    client.put(resources.EndpointSlice, slice("web", endpoints(0, 1, 2)));
    await settled();
    const answers = await lab.client.ask({ address: "10.96.0.20", port: 80, source: clientPod, count: 300 });
    expect(whoAnswered(answers)).toEqual(endpoints(0, 1, 2));
    expect(seenAs(answers)).toEqual([clientPod]);
    for (const count of Object.values(answers)) expect(count).toBeGreaterThan(60);
  });

  test("clients outside and the node itself are masked", async () => {
    client.put(resources.Service, service("web", { clusterIP: "10.96.0.20" }));
    client.put(resources.EndpointSlice, slice("web", endpoints(0)));
    await settled();
    expect(await lab.client.ask({ address: "10.96.0.20", port: 80, source: outside })).toEqual({
      [`${podAddress(0)} 10.42.2.1`]: 1,
    });
    expect(await lab.node.ask({ address: "10.96.0.20", port: 80 })).toEqual({ [`${podAddress(0)} 10.42.2.1`]: 1 });
  });

  test("UDP, a NodePort, an external address and a load-balancer address lead to the same endpoints", async () => {
    const ports = [
      { name: "web", port: 80, protocol: "TCP", nodePort: 30080 },
      { name: "dns", port: 80, protocol: "UDP", nodePort: 30080 },
    ];
    const spec = { type: "LoadBalancer", clusterIP: "10.96.0.21", externalIPs: ["203.0.113.5"], ports };
    client.put(resources.Service, service("all", spec, { lb: ["10.97.0.1"] }));
    client.put(resources.EndpointSlice, slice("all", endpoints(0, 1), { portName: "web", suffix: "t" }));
    client.put(
      resources.EndpointSlice,
      slice("all", endpoints(0, 1), { portName: "dns", suffix: "u", protocol: "UDP" }),
    );
    await settled();
    for (const protocol of ["TCP", "UDP"] as const) {
      for (const [address, port] of [
        ["10.96.0.21", 80],
        ["203.0.113.5", 80],
        ["10.97.0.1", 80],
        [nodeAddress, 30080],
      ] as const) {
        const answers = await lab.client.ask({ address, port, protocol, source: outside, count: 40 });
        expect(whoAnswered(answers), `${address} ${protocol}`).toEqual(endpoints(0, 1));
        expect(seenAs(answers)).toEqual(["10.42.2.1"]);
      }
    }
  });

  test("pools of sizes never seen before work while other programs change their own rules", async () => {
    client.put(resources.Service, service("big", { clusterIP: "10.96.0.33" }));
    client.put(resources.Service, service("large", { clusterIP: "10.96.0.34", sessionAffinity: "ClientIP" }));
    await settled();
    for (const size of [20, 19]) {
      // After this nft reads our maps back from the kernel before it can use them.
      await systemCommands.run("nft", ["add", "table", "ip", "other"]);
      await systemCommands.run("nft", ["delete", "table", "ip", "other"]);
      const addresses = endpoints(...Array.from({ length: size }, (_, i) => i));
      client.put(resources.EndpointSlice, slice("big", addresses));
      client.put(resources.EndpointSlice, slice("large", addresses));
      await settled();
      const big = await lab.client.ask({ address: "10.96.0.33", port: 80, source: clientPod, count: 600 });
      expect(whoAnswered(big)).toEqual(addresses.sort());
      const large = await lab.client.ask({ address: "10.96.0.34", port: 80, source: clientPod, count: 20 });
      expect(whoAnswered(large)).toHaveLength(1);
    }
  });

  test("a Service without endpoints, an unknown port and an unallocated address are refused at once", async () => {
    client.put(
      resources.Service,
      service("empty", { clusterIP: "10.96.0.22", type: "NodePort", ports: [{ port: 80, nodePort: 30081 }] }),
    );
    await settled();
    for (const from of [lab.client, lab.node]) {
      for (const protocol of ["TCP", "UDP"] as const) {
        expect(await from.ask({ address: "10.96.0.22", port: 81, protocol })).toEqual({ refused: 1 });
        expect(await from.ask({ address: "10.96.0.99", port: 80, protocol })).toEqual({ refused: 1 });
      }
      expect(await from.ask({ address: "10.96.0.22", port: 80 })).toEqual({ refused: 1 });
      expect(await from.ask({ address: nodeAddress, port: 30081 })).toEqual({ refused: 1 });
    }
  });

  test("a pod that reaches itself through its Service gets an answer", async () => {
    client.put(resources.Service, service("self", { clusterIP: "10.96.0.23" }));
    client.put(resources.EndpointSlice, slice("self", endpoints(3)));
    await settled();
    expect(await lab.pods.ask({ address: "10.96.0.23", port: 80, source: podAddress(3) })).toEqual({
      [`${podAddress(3)} 10.42.2.1`]: 1,
    });
  });

  test("with affinity a client stays with its endpoint, moves when that is gone, and is kept apart from others", async () => {
    client.put(resources.Service, service("sticky", { clusterIP: "10.96.0.24", sessionAffinity: "ClientIP" }));
    client.put(resources.EndpointSlice, slice("sticky", endpoints(0, 1, 2, 3)));
    await settled();
    const ask = (source: string) => lab.client.ask({ address: "10.96.0.24", port: 80, source, count: 40 });
    const [first] = whoAnswered(await ask(clientPod));
    expect(whoAnswered(await ask(clientPod))).toEqual([first]);
    expect(whoAnswered(await ask(outside))).toHaveLength(1);

    const others = endpoints(0, 1, 2, 3).filter((address) => address !== first);
    client.put(resources.EndpointSlice, slice("sticky", others));
    await settled();
    const [second] = whoAnswered(await ask(clientPod));
    expect(others).toContain(second);
    expect(whoAnswered(await ask(clientPod))).toEqual([second]);
  });

  test("weights share out connections, none go to a weight of 0, and an order to drop leaves all in silence", async () => {
    const annotated = (annotations: Record<string, string>, rest = {}) => {
      const plain = service("shares", { clusterIP: "10.96.0.39", ...rest });
      client.put(resources.Service, { ...plain, metadata: { ...plain.metadata, annotations } });
    };
    const ask = async (count = 300) => {
      const answers = await lab.client.ask({
        address: "10.96.0.39",
        port: 80,
        source: clientPod,
        count,
        timeout: 2_000,
      });
      return endpoints(0, 1, 2).map((address) => answers[`${address} ${clientPod}`] ?? 0);
    };
    client.put(resources.EndpointSlice, slice("shares", endpoints(0, 1, 2)));
    for (const [first, rest] of [
      [8, {}],
      // More than there are slots.
      [80, {}],
    ] as const) {
      annotated(
        { "fairlead.dev/weights": `${podAddress(0)}=${first},${podAddress(1)}=${first / 4},${podAddress(2)}=0` },
        rest,
      );
      await settled();
      const [most = 0, some = 0, none] = await ask();
      // Four to one: 240 of 300 are expected, and 48 is seven standard deviations.
      expect(most).toBeGreaterThan(192);
      expect(most).toBeLessThan(288);
      expect(some).toBe(300 - most);
      expect(none).toBe(0);
    }
    annotated({ "fairlead.dev/weights": `${podAddress(0)}=99` }, { sessionAffinity: "ClientIP" });
    await settled();
    const stuck = await ask(30);
    expect(stuck.filter((count) => count === 30)).toHaveLength(1);
    annotated({ "fairlead.dev/override": "drop" });
    await settled();
    const silent = await lab.client.ask({ address: "10.96.0.39", port: 80, source: clientPod, timeout: 300 });
    expect(silent).toEqual({ silent: 1 });
    annotated({});
    await settled();
    expect((await ask()).every((count) => count > 60)).toBe(true);
  });

  test("affinity can be switched on and off", async () => {
    const spec = { clusterIP: "10.96.0.25" };
    client.put(resources.Service, service("switch", spec));
    client.put(resources.EndpointSlice, slice("switch", endpoints(0, 1)));
    const ask = async () =>
      whoAnswered(await lab.client.ask({ address: "10.96.0.25", port: 80, source: clientPod, count: 40 })).length;
    await settled();
    expect(await ask()).toBe(2);
    client.put(resources.Service, service("switch", { ...spec, sessionAffinity: "ClientIP" }));
    await settled();
    expect(await ask()).toBe(1);
    client.put(resources.Service, service("switch", spec));
    await settled();
    expect(await ask()).toBe(2);
  });

  test("externalTrafficPolicy Local keeps the client's address, and is silent without a local endpoint", async () => {
    const spec = { type: "LoadBalancer", externalTrafficPolicy: "Local", ports: [{ port: 80, nodePort: 30082 }] };
    client.put(resources.Service, service("here", { ...spec, clusterIP: "10.96.0.26" }, { lb: ["10.97.0.2"] }));
    client.put(resources.EndpointSlice, slice("here", endpoints(0), { suffix: "here" }));
    client.put(resources.EndpointSlice, slice("here", endpoints(1), { suffix: "there", nodeName: "node2" }));
    await settled();
    for (const [address, port] of [
      ["10.97.0.2", 80],
      [nodeAddress, 30082],
    ] as const) {
      const answers = await lab.client.ask({ address, port, source: outside, count: 20 });
      expect(answers).toEqual({ [`${podAddress(0)} ${outside}`]: 20 });
      // Pods and the node itself are inside: they reach every endpoint.
      expect(whoAnswered(await lab.client.ask({ address, port, source: clientPod, count: 40 }))).toEqual(
        endpoints(0, 1),
      );
      expect(whoAnswered(await lab.node.ask({ address, port, count: 40 }))).toEqual(endpoints(0, 1));
    }
    client.put(resources.EndpointSlice, slice("here", [], { suffix: "here" }));
    await settled();
    expect(await lab.client.ask({ address: "10.97.0.2", port: 80, source: outside, timeout: 300 })).toEqual({
      silent: 1,
    });
    expect(whoAnswered(await lab.client.ask({ address: "10.97.0.2", port: 80, source: clientPod }))).toEqual(
      endpoints(1),
    );
  });

  test("internalTrafficPolicy Local stays on the node, and is silent without a local endpoint", async () => {
    client.put(resources.Service, service("inner", { clusterIP: "10.96.0.27", internalTrafficPolicy: "Local" }));
    client.put(resources.EndpointSlice, slice("inner", endpoints(0), { suffix: "here" }));
    client.put(resources.EndpointSlice, slice("inner", endpoints(1), { suffix: "there", nodeName: "node2" }));
    await settled();
    const ask = (count: number) =>
      lab.client.ask({ address: "10.96.0.27", port: 80, source: clientPod, count, timeout: 300 });
    expect(whoAnswered(await ask(30))).toEqual(endpoints(0));
    client.put(resources.EndpointSlice, slice("inner", [], { suffix: "here" }));
    await settled();
    expect(await ask(1)).toEqual({ silent: 1 });
  });

  test("source ranges guard the load-balancer address and nothing else", async () => {
    const spec = {
      type: "LoadBalancer",
      clusterIP: "10.96.0.28",
      ports: [{ port: 80, nodePort: 30083 }],
      loadBalancerSourceRanges: ["192.168.77.0/29", "192.168.77.2/32", "198.51.100.0/24"],
    };
    client.put(resources.Service, service("guarded", spec, { lb: ["10.97.0.3"] }));
    client.put(resources.EndpointSlice, slice("guarded", endpoints(0)));
    await settled();
    const ask = (source: string, address = "10.97.0.3", port = 80) =>
      lab.client.ask({ address, port, source, timeout: 300 }).then(whoAnswered);
    expect(await ask(outside)).toEqual(endpoints(0));
    expect(await ask(clientPod)).toEqual(["silent"]);
    expect(await ask(clientPod, nodeAddress, 30083)).toEqual(endpoints(0));
  });

  test("while endpoints are replaced no connection fails, and established ones live on", async () => {
    client.put(resources.Service, service("roll", { clusterIP: "10.96.0.29" }));
    client.put(resources.EndpointSlice, slice("roll", endpoints(0, 1, 2)));
    await settled();
    await lab.client.ask({ address: "10.96.0.29", port: 80, source: clientPod, count: 10, hold: true });
    const traffic = lab.client.ask({ address: "10.96.0.29", port: 80, source: clientPod, count: 2_000, atOnce: 4 });
    for (let i = 0; i < 100; i++) {
      client.put(resources.EndpointSlice, slice("roll", endpoints(i % 17, (i % 17) + 1, (i % 17) + 2)));
      await settled();
    }
    expect(whoAnswered(await traffic).filter((one) => !one?.startsWith("10.42.2."))).toEqual([]);
    expect(await lab.client.echo()).toEqual(Array.from({ length: 10 }, () => true));
  });

  test("a restart is not noticed", async () => {
    client.put(resources.Service, service("steady", { clusterIP: "10.96.0.30" }));
    client.put(resources.EndpointSlice, slice("steady", endpoints(0, 1, 2)));
    await settled();
    await lab.client.ask({ address: "10.96.0.30", port: 80, source: clientPod, count: 5, hold: true });
    const traffic = lab.client.ask({ address: "10.96.0.30", port: 80, source: clientPod, count: 2_000, atOnce: 4 });
    for (let i = 0; i < 5; i++) {
      await end();
      await begin();
    }
    expect(whoAnswered(await traffic)).toEqual(endpoints(0, 1, 2));
    expect(await lab.client.echo()).not.toContain(false);
  });

  test("a UDP client that keeps its port moves on when its endpoint goes, and comes in when the first one appears", async () => {
    const spec = { clusterIP: "10.96.0.31", ports: [{ port: 53, protocol: "UDP" }] };
    client.put(resources.Service, service("dns", spec));
    client.put(resources.EndpointSlice, slice("dns", endpoints(0), { protocol: "UDP" }));
    await settled();
    const ask = () =>
      lab.client.ask({
        address: "10.96.0.31",
        port: 53,
        protocol: "UDP",
        source: clientPod,
        localPort: 5353,
        timeout: 300,
      });
    expect(whoAnswered(await ask())).toEqual(endpoints(0));
    client.put(resources.EndpointSlice, slice("dns", endpoints(1), { protocol: "UDP" }));
    await settled();
    await expect.poll(async () => whoAnswered(await ask())).toEqual(endpoints(1));
    client.put(resources.EndpointSlice, slice("dns", [], { protocol: "UDP" }));
    await settled();
    await expect.poll(async () => whoAnswered(await ask())).toEqual(["refused"]);
    client.put(resources.EndpointSlice, slice("dns", endpoints(2), { protocol: "UDP" }));
    await settled();
    await expect.poll(async () => whoAnswered(await ask())).toEqual(endpoints(2));
  });

  test("rules that someone else flushes come back by themselves", async () => {
    client.put(resources.Service, service("back", { clusterIP: "10.96.0.35" }));
    client.put(resources.EndpointSlice, slice("back", endpoints(0)));
    await settled();
    await systemCommands.run("nft", ["flush", "ruleset"]);
    const ask = () => lab.client.ask({ address: "10.96.0.35", port: 80, source: clientPod, timeout: 300 });
    await expect.poll(async () => whoAnswered(await ask()), { timeout: 10_000 }).toEqual(endpoints(0));
  });

  test("a NodePort answers on localhost too, to the node itself", async () => {
    const spec = { type: "NodePort", externalTrafficPolicy: "Local", ports: [{ port: 80, nodePort: 30084 }] };
    client.put(resources.Service, service("near", { ...spec, clusterIP: "10.96.0.37" }));
    client.put(resources.EndpointSlice, slice("near", endpoints(0, 1), { nodeName: "node2" }));
    await settled();
    const ask = () => lab.node.ask({ address: "127.0.0.1", port: 30084, count: 10 });
    expect(whoAnswered(await ask())).toEqual(endpoints(0, 1));
    client.remove(resources.Service, { namespace: "default", name: "near" });
    await settled();
    expect(await ask()).toEqual({ refused: 10 });
  });

  test("a pool larger than there are slots is spread over all of it", async () => {
    client.put(resources.Service, service("huge", { clusterIP: "10.96.0.36" }));
    const everyPod = endpoints(...Array.from({ length: 20 }, (_, i) => i));
    for (let port = 8080; port < 8084; port++)
      client.put(resources.EndpointSlice, slice("huge", everyPod, { port, suffix: String(port) }));
    await settled();
    for (const source of [clientPod, outside]) {
      const answers = await lab.client.ask({ address: "10.96.0.36", port: 80, source, count: 400 });
      expect(whoAnswered(answers)).toEqual([...everyPod].sort());
    }
  });

  const asChild = mode === "nftables" ? test : undefined;
  asChild?.("where libnftables cannot be loaded, nft as a child does the same", async () => {
    await end();
    const context: ProxyContext = {
      families: ["IPv4"],
      node: { name: "node1", addresses: [nodeAddress] },
      podCidrs: ["10.42.0.0/16"],
      serviceCidrs: ["10.96.0.0/16"],
    };
    stop = new AbortController();
    const nft = childNft(systemCommands);
    const backend = createNftablesBackend({
      nft,
      context,
      commands: systemCommands,
      signal: stop.signal,
      clock: systemClock,
      log,
    });
    const model = createServiceModel(context);
    model.upsertService(client.put(resources.Service, service("child", { clusterIP: "10.96.0.38" })));
    backend.start();
    for (const addresses of [endpoints(0, 1), endpoints(1), endpoints(2, 3, 4)]) {
      model.upsertSlice(client.put(resources.EndpointSlice, slice("child", addresses)));
      backend.update("default/child", model.plan("default/child"));
      await backend.settled();
      const answers = await lab.client.ask({ address: "10.96.0.38", port: 80, source: clientPod, count: 60 });
      expect(whoAnswered(answers)).toEqual(addresses);
    }
    stop.abort();
    await backend.stopped;
    expect(errors).toEqual([]);
    await begin();
  });

  test("tables of others are left alone, and a mark that others set is given back", async () => {
    const marker = `add table ip other
      add chain ip other before { type filter hook prerouting priority -150; }
      add rule ip other before ip saddr ${clientPod} meta mark set 0xf1234567
      add chain ip other after { type filter hook forward priority 0; }
      add rule ip other after ct direction original meta mark 0xf1234567 counter comment "same"
      add rule ip other after ct direction original ip saddr ${clientPod} meta mark != 0xf1234567 counter comment "changed"`;
    await systemCommands.run("nft", ["-f", "-"], { input: marker });
    client.put(resources.Service, service("marked", { clusterIP: "10.96.0.32" }));
    client.put(resources.EndpointSlice, slice("marked", endpoints(0, 1)));
    await settled();
    const answers = await lab.client.ask({ address: "10.96.0.32", port: 80, source: clientPod, count: 20 });
    expect(whoAnswered(answers)).toEqual(endpoints(0, 1));
    const { stdout } = await systemCommands.run("nft", ["list", "table", "ip", "other"]);
    expect(stdout).toMatch(/packets [1-9]\d* bytes \d+ comment "same"/);
    expect(stdout).toMatch(/packets 0 bytes 0 comment "changed"/);
    await systemCommands.run("nft", ["delete", "table", "ip", "other"]);
  });
});
