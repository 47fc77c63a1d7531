import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createFakeClient } from "../../src/client/index.ts";
import { resources, type Draft, type EndpointSlice, type Service } from "../../src/kube/index.ts";
import { removeProxy, startProxy } from "../../src/proxy/index.ts";
import type { Route } from "../../src/services/index.ts";
import { systemCommands } from "../../src/system/index.ts";
import {
  clientPod,
  createLab,
  labNode,
  nodeAddress,
  outside,
  podAddress,
  whyNoLab,
  type Agent,
  type Answers,
  type Lab,
} from "./lab.ts";

const seed = Number(process.env["SEED"] ?? 1);
const count = 60;

/** Random numbers that are the same for the same seed (mulberry32). */
function random(from: number): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const next = random(seed);
const pick = <T>(...choices: T[]): T => choices[Math.floor(next() * choices.length)] as T;
const maybe = <T>(chance: number, value: T): T | undefined => (next() < chance ? value : undefined);

function randomService(i: number): Draft<Service> {
  const type = pick("ClusterIP", "NodePort", "LoadBalancer");
  const ranges =
    type === "LoadBalancer"
      ? maybe(0.4, pick(["192.168.77.2/32"], ["10.42.0.0/16", "10.0.0.0/8"], ["192.168.77.0/24"]))
      : undefined;
  const externalIPs = maybe(0.3, [`203.0.113.${i + 1}`]);
  const sessionAffinity = maybe(0.3, "ClientIP");
  const labels = maybe(0.1, { "service.kubernetes.io/headless": "" });
  return {
    metadata: { namespace: "default", name: `svc-${i}`, ...(labels ? { labels } : {}) },
    spec: {
      type,
      clusterIP: `10.96.1.${i + 1}`,
      ports: [{ port: 80, protocol: "TCP", ...(type === "ClusterIP" ? {} : { nodePort: 30_000 + i }) }],
      internalTrafficPolicy: pick("Cluster", "Cluster", "Local"),
      ...(type === "ClusterIP" ? {} : { externalTrafficPolicy: pick("Cluster", "Local") }),
      ...(ranges ? { loadBalancerSourceRanges: ranges } : {}),
      ...(externalIPs ? { externalIPs } : {}),
      ...(sessionAffinity ? { sessionAffinity } : {}),
    },
    ...(type === "LoadBalancer"
      ? {
          status: {
            loadBalancer: { ingress: [{ ip: `10.97.0.${i + 1}`, ...maybe(0.2, { ipMode: "Proxy" }) }] },
          },
        }
      : {}),
  };
}

function randomSlice(i: number): Draft<EndpointSlice> {
  const hints = maybe(0.3, true);
  const endpoints = Array.from({ length: pick(0, 1, 1, 2, 3, 5) }, (_, k) => ({
    addresses: [podAddress((i + k * 3) % 20)],
    nodeName: pick("node1", "node2"),
    conditions: pick(
      { ready: true },
      { ready: true },
      { ready: false, serving: true, terminating: true },
      { ready: false, serving: false },
    ),
    ...(hints ? { hints: { forZones: [{ name: pick("a", "b") }] } } : {}),
  }));
  return {
    metadata: { namespace: "default", name: `svc-${i}-a`, labels: { "kubernetes.io/service-name": `svc-${i}` } },
    addressType: "IPv4",
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
    endpoints,
  };
}

/** What the model says, in the words of the answers. */
function expected(
  { decision }: Route,
  source: string,
): { outcome: string; who?: Set<string>; seen?: (endpoint: string) => string } {
  if (!decision) return { outcome: "not ours" };
  if (decision.verdict !== "forward") return { outcome: decision.verdict === "reject" ? "refused" : "silent" };
  const who = new Set(decision.endpoints.map(({ address }) => address));
  return { outcome: "forward", who, seen: () => (decision.masquerade ? "10.42.2.1" : source) };
}

const why = whyNoLab ? ` (${whyNoLab})` : "";
const modes = ["nftables", "iptables"] as const;

describe.skipIf(whyNoLab).each(modes)(`the kernel does what the model says: %s${why}`, (mode) => {
  let lab: Lab;
  const stop = new AbortController();

  beforeAll(async () => {
    lab = await createLab();
    for (let i = 0; i < 20; i++) await lab.pods.serve({ address: podAddress(i), port: 8080 });
  });
  afterAll(async () => {
    stop.abort();
    if (!lab) return;
    await removeProxy(systemCommands);
    await lab.close();
  });

  test(`for ${count} random Services and every kind of client (SEED=${seed})`, async () => {
    const client = createFakeClient();
    client.put(resources.Node, {
      metadata: { name: "node1", labels: { "topology.kubernetes.io/zone": "a" } },
      spec: {},
    });
    for (let i = 0; i < count; i++) {
      client.put(resources.Service, randomService(i));
      client.put(resources.EndpointSlice, randomSlice(i));
    }
    const proxy = await startProxy({
      ...labNode,
      client,
      mode,
      nodeAddresses: [nodeAddress],
      signal: stop.signal,
    });
    await proxy.ready;

    const outcomes: Record<string, number> = {};
    async function check(agent: Agent, source: string, bind: boolean, address: string, port: number): Promise<void> {
      const route = proxy.model.route({ source, destination: address, protocol: "TCP", port });
      const says = expected(route, source);
      if (says.outcome === "not ours") return;
      // Silence is waited for briefly; an answer may take its time on a busy machine.
      const timeout = says.outcome === "silent" ? 300 : 10_000;
      const answers: Answers = await agent.ask({ address, port, count: 6, timeout, ...(bind ? { source } : {}) });
      const story = `${source} -> ${address}:${port} ${JSON.stringify(route.decision?.because)} ${JSON.stringify(answers)}`;
      outcomes[says.outcome] = (outcomes[says.outcome] ?? 0) + 1;
      if (says.outcome !== "forward") return expect(answers, story).toEqual({ [says.outcome]: 6 });
      for (const answer of Object.keys(answers)) {
        const [endpoint = "", seen] = answer.split(" ");
        expect(says.who, story).toContain(endpoint);
        expect(seen, story).toBe(says.seen?.(endpoint));
      }
      const sticky = route.decision?.verdict === "forward" && route.decision.affinitySeconds !== undefined;
      if (sticky) expect(Object.keys(answers), story).toHaveLength(1);
    }

    const places = Array.from({ length: count }, (_, i): [string, number][] => [
      [`10.96.1.${i + 1}`, 80],
      [`10.96.1.${i + 1}`, 81],
      [`203.0.113.${i + 1}`, 80],
      [`10.97.0.${i + 1}`, 80],
      [nodeAddress, 30_000 + i],
    ]).flat();
    /** Some at a time, so that answers are not late for want of processors. */
    async function checkAll(agent: Agent, source: string, bind: boolean): Promise<void> {
      for (let i = 0; i < places.length; i += 20)
        await Promise.all(places.slice(i, i + 20).map(([address, port]) => check(agent, source, bind, address, port)));
    }
    async function checkEveryone(): Promise<void> {
      await checkAll(lab.client, clientPod, true);
      await checkAll(lab.client, outside, true);
      await checkAll(lab.node, nodeAddress, false);
    }
    await checkEveryone();

    // And again after changes of every kind, which are applied as differences.
    for (let i = 0; i < count; i++) {
      const what = next();
      if (what < 0.4) client.put(resources.Service, randomService(i));
      else if (what < 0.5) client.remove(resources.Service, { namespace: "default", name: `svc-${i}` });
      else if (what < 0.9) client.put(resources.EndpointSlice, randomSlice(i));
      else client.remove(resources.EndpointSlice, { namespace: "default", name: `svc-${i}-a` });
    }
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    await proxy.settled();
    expect(proxy.failure()).toBeUndefined();
    await checkEveryone();

    // The seed must have led to every kind of outcome, else the test says little.
    expect(Object.keys(outcomes).sort()).toEqual(["forward", "refused", "silent"]);
    for (const times of Object.values(outcomes)) expect(times).toBeGreaterThan(10);
  });
});
