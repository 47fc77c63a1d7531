import type { Draft, EndpointSlice, Service } from "../../src/kube/index.ts";
import type { Family, Protocol } from "../../src/services/index.ts";
import { addressesOf, podCount } from "./field.ts";
import type { Sender } from "./matrix.ts";

export interface Random {
  /** From 0 up to, not including, 1. */
  readonly next: () => number;
  readonly pick: <T>(...choices: readonly T[]) => T;
  readonly chance: (of: number) => boolean;
}

/** Random numbers that are the same for the same seed (mulberry32). */
export function createRandom(seed: number): Random {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    pick: <T>(...choices: readonly T[]) => choices[Math.floor(next() * choices.length)] as T,
    chance: (of) => next() < of,
  };
}

export interface RandomPacket {
  readonly from: Sender;
  readonly to: string;
  readonly port: number;
  readonly protocol: Protocol;
}

export interface RandomCluster {
  /** Services and their slices. */
  readonly objects: readonly (Draft<Service> | Draft<EndpointSlice>)[];
  readonly packets: readonly RandomPacket[];
}

const senders: readonly Sender[] = ["pod", "node", "outside", "itself", "remotePod", "otherNode"];

/** A few Services with everything that a Service and a slice may say, and packets to and beside them. `slot` keeps clusters apart. */
export function randomCluster(random: Random, slot: number): RandomCluster {
  const count = random.pick(1, 1, 2);
  const objects: (Draft<Service> | Draft<EndpointSlice>)[] = [];
  const packets: RandomPacket[] = [];
  for (let i = 0; i < count; i++) {
    const number = slot * 2 + i;
    const made = randomService(random, number);
    objects.push(made.service);
    for (const family of made.families)
      for (const port of made.service.spec?.ports ?? [])
        for (let k = random.pick(0, 1, 1, 2); k > 0; k--)
          objects.push(
            randomSlice(random, `svc-${number}`, `${family.toLowerCase()}-${port.name ?? ""}-${k}`, family, port),
          );
    for (let k = 0; k < 7; k++) packets.push(randomPacket(random, made));
  }
  return { objects, packets };
}

interface Made {
  readonly service: Draft<Service>;
  readonly families: readonly Family[];
  /** Where it may answer, by family. */
  readonly places: readonly { readonly to: string; readonly isNode: boolean }[];
  readonly nodePort: number;
}

function randomService(random: Random, number: number): Made {
  const { pick, chance } = random;
  const type = pick("ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer");
  const served = pick<readonly Family[]>(["IPv4"], ["IPv6"], ["IPv4", "IPv6"], ["IPv6", "IPv4"]);
  const hex = number.toString(16);
  const at = (family: Family, four: string, six: string) => (family === "IPv4" ? four : six);
  const [high, low] = [Math.floor(number / 250), (number % 250) + 1];
  const vip = (family: Family) => at(family, `10.96.${high + 1}.${low}`, `fd96::1:${hex}`);
  const lb = (family: Family) => at(family, `10.97.${high}.${low}`, `fd97::1:${hex}`);
  const external = (family: Family) => at(family, `203.0.113.${low}`, `2001:db8:113::${hex}`);
  const nodePort = 30_000 + number;
  const two = chance(0.25);
  const exposed = type !== "ClusterIP";
  const port = (name: string, protocol: string) => ({
    ...(two ? { name } : {}),
    port: 80,
    protocol,
    ...(exposed && (type === "NodePort" || chance(0.9)) ? { nodePort } : {}),
  });
  const ports = two ? [port("t", "TCP"), port("u", "UDP")] : [port("", pick("TCP", "TCP", "TCP", "UDP"))];
  const ranges = type === "LoadBalancer" && chance(0.35) ? pick(...rangeChoices) : undefined;
  const labels = chance(0.06)
    ? pick({ "service.kubernetes.io/headless": "" }, { "service.kubernetes.io/service-proxy-name": "x" })
    : undefined;
  const externalIPs = chance(0.25) ? served.map(external) : undefined;
  const affinity = chance(0.25);
  const service: Draft<Service> = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "default", name: `svc-${number}`, ...(labels ? { labels } : {}) },
    spec: {
      type,
      clusterIP: vip(served[0] ?? "IPv4"),
      clusterIPs: served.map(vip),
      ipFamilies: [...served],
      ports,
      internalTrafficPolicy: pick("Cluster", "Cluster", "Local"),
      ...(exposed || externalIPs ? { externalTrafficPolicy: pick("Cluster", "Local") } : {}),
      ...(ranges ? { loadBalancerSourceRanges: [...ranges] } : {}),
      ...(externalIPs ? { externalIPs } : {}),
      ...(affinity
        ? { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } } }
        : {}),
    },
    ...(type === "LoadBalancer"
      ? {
          status: {
            loadBalancer: {
              ingress: served.map((family) => ({ ip: lb(family), ...(chance(0.1) ? { ipMode: "Proxy" } : {}) })),
            },
          },
        }
      : {}),
  };
  const places = served.flatMap((family) => [
    ...[vip(family), lb(family), external(family)].map((to) => ({ to, isNode: false })),
    ...[addressesOf(family).node1, addressesOf(family).node1Link].map((to) => ({ to, isNode: true })),
  ]);
  return { service, families: served, places, nodePort };
}

const rangeChoices: readonly (readonly string[])[] = [
  ["192.168.77.2/32", "fd77::2/128"],
  ["10.42.0.0/16", "10.0.0.0/8", "fd42::/16"],
  ["192.168.77.0/24"],
  ["fd77::/64", "0.0.0.0/0"],
  ["192.168.79.0/25", "192.168.79.1/32", "fd79::/112"],
];

function randomSlice(
  random: Random,
  service: string,
  suffix: string,
  family: Family,
  { name = "", protocol = "TCP" }: { name?: string; protocol?: string },
): Draft<EndpointSlice> {
  const { pick, chance } = random;
  const { pod } = addressesOf(family);
  const zones = chance(0.3);
  const nodes = chance(0.2);
  const endpoints = Array.from({ length: pick(0, 1, 1, 2, 3, 5) }, () => {
    const where = pick("l", "l", "r");
    return {
      addresses: [pod(`${where}${Math.floor(random.next() * podCount)}`)],
      nodeName: where === "l" ? "node1" : "node2",
      conditions: pick<Record<string, boolean>>(
        { ready: true },
        { ready: true },
        {},
        { ready: false, serving: true, terminating: true },
        { ready: false, serving: false, terminating: true },
        { ready: false, serving: false },
      ),
      ...(zones || nodes
        ? {
            hints: {
              ...(zones ? { forZones: [{ name: pick("a", "b") }] } : {}),
              ...(nodes ? { forNodes: [{ name: pick("node1", "node2") }] } : {}),
            },
          }
        : {}),
    };
  });
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { namespace: "default", name: `${service}-${suffix}`, labels: { "kubernetes.io/service-name": service } },
    addressType: family,
    endpoints,
    ports: [{ name, port: pick(8080, 8081), protocol }],
  };
}

function randomPacket({ pick, chance }: Random, { places, nodePort }: Made): RandomPacket {
  const { to, isNode } = pick(...places);
  // Those of the other node meet this one's proxy only at its own addresses and at load balancers'.
  const isRouted = isNode || /^(?:10\.97\.|fd97:)/.test(to);
  return {
    from: pick(...senders.slice(0, isRouted ? undefined : 4)),
    to,
    port: isNode ? nodePort : chance(0.1) ? 81 : 80,
    protocol: pick<Protocol>("TCP", "TCP", "UDP"),
  };
}

/** Smaller clusters: one object, one endpoint or one field less. */
export function* smaller(objects: RandomCluster["objects"]): Generator<RandomCluster["objects"]> {
  for (const [i, object] of objects.entries()) {
    const but = (next: RandomCluster["objects"][number]) => objects.map((one, k) => (k === i ? next : one));
    yield objects.filter((_, k) => k !== i);
    if (object.kind === "EndpointSlice") {
      const slice = object as Draft<EndpointSlice>;
      for (let k = 0; k < (slice.endpoints?.length ?? 0); k++)
        yield but({ ...slice, endpoints: (slice.endpoints ?? []).filter((_, n) => n !== k) });
      continue;
    }
    const service = object as Draft<Service>;
    for (const field of [
      "loadBalancerSourceRanges",
      "externalIPs",
      "sessionAffinity",
      "internalTrafficPolicy",
      "externalTrafficPolicy",
    ]) {
      if (!(field in (service.spec ?? {}))) continue;
      const { [field]: _, ...spec } = (service.spec ?? {}) as Record<string, unknown>;
      yield but({ ...service, spec: spec });
    }
  }
}
