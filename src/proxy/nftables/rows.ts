import type { Frontend, NodePlan, Pool, PortPlan, ProxyContext, ServiceEndpoint } from "../../services/index.ts";
import { parseCidr, withoutNested } from "../../services/index.ts";
import type { Owner, Row } from "../../tables/index.ts";
import { arrange, number } from "./arrange.ts";
import { endpointMask, kinds, largestEndpoint, poolMark } from "./marks.ts";
import { slotSizes } from "./ruleset.ts";

/** Numbers of Service ports, by `PortPlan.id`. A number is free again when its port is gone. */
export interface PortNumbers {
  /** Undefined when all numbers are taken. */
  take(id: string): number | undefined;
  release(id: string): void;
}

export function createPortNumbers(largest: number): PortNumbers {
  const numbers = new Map<string, number>();
  const free: number[] = [];
  return {
    take(id) {
      const known = numbers.get(id);
      if (known !== undefined) return known;
      const next = free.pop() ?? numbers.size + 1;
      if (next > largest) return undefined;
      numbers.set(id, next);
      return next;
    },
    release(id) {
      const known = numbers.get(id);
      if (known === undefined) return;
      numbers.delete(id);
      free.push(known);
    },
  };
}

/**
 * The rows of one Service. Endpoints are stored once for each pool, however many addresses lead there.
 * @param previous its rows as they are, so that slots and affinity numbers stay where they can
 */
export function rowsOfPlan(
  plan: NodePlan,
  previous: readonly Row[],
  numbers: PortNumbers,
  context: ProxyContext,
): Row[] {
  const object = `Service ${plan.key}`;
  const before = indexOf(previous);
  const rows: Row[] = [];
  const hairpin = new Set<string>();
  for (const port of plan.ports) {
    if (port.frontends.length === 0) continue;
    const id = numbers.take(port.id);
    if (id === undefined) continue;
    rows.push(...frontendRows(port, id, object));
    for (const [pool, mark] of poolsOf(port, id)) {
      rows.push(...poolRows(port, pool, mark, { object, field: "endpoints" }, before));
      for (const { nodeName, address } of pool.endpoints) if (nodeName === context.node.name) hairpin.add(address);
    }
  }
  for (const address of hairpin) rows.push(row("hairpin", [address, address], [], { object, field: "endpoints" }));
  return rows;
}

/** The pools that some frontend leads to. */
function poolsOf(port: PortPlan, id: number): [Pool, number][] {
  const pools: [Pool, number][] = [];
  // Policy Local of an outside address leads to all endpoints too, for clients within the cluster.
  if (port.frontends.some((one) => one.policy === "Cluster" || one.kind !== "ClusterIP"))
    pools.push([port.cluster, poolMark(id, false)]);
  if (port.usesLocal) pools.push([port.local, poolMark(id, true)]);
  return pools;
}

function frontendRows(port: PortPlan, id: number, object: string): Row[] {
  const rows: Row[] = [];
  const ranges = new Map<string, number>();
  for (const frontend of port.frontends) {
    const owner = { object, field: frontend.field };
    const protocol = frontend.protocol.toLowerCase();
    const mark = kindOf(frontend) + poolMark(id, frontend.kind === "ClusterIP" && frontend.policy === "Local");
    if (frontend.address === undefined) rows.push(row("nodeports", [protocol, frontend.port], [mark], owner));
    else rows.push(row("frontends", [frontend.address, protocol, frontend.port], [mark], owner));
    // All load-balancer addresses of a Service have the same ranges.
    for (const range of frontend.sourceRanges ?? []) ranges.set(range, mark);
  }
  const owner = { object, field: "spec.loadBalancerSourceRanges" };
  for (const [range, mark] of ranges) rows.push(row("ranges", [mark, range], [], owner));
  return rows;
}

function kindOf({ kind, policy, sourceRanges }: Frontend): number {
  if (kind === "ClusterIP") return kinds.internal;
  if (policy === "Local") return sourceRanges ? kinds.guardedLocal : kinds.externalLocal;
  return sourceRanges ? kinds.guardedExternal : kinds.external;
}

function poolRows(port: PortPlan, pool: Pool, mark: number, owner: Owner, before: Before): Row[] {
  const { affinitySeconds } = port;
  if (pool.endpoints.length === 0) return [row("pools", [mark], [port.anywhere ? "drop" : "refuse"], owner)];

  if (affinitySeconds === undefined && pool.endpoints.length <= slotSizes) {
    const slots = arrange(before.slots.get(mark) ?? [], pool.endpoints, endpointId);
    return [
      row("pools", [mark], ["pick", slots.length], owner),
      ...slots.map((endpoint, i) => row("slots", [mark, i], [endpoint.address, endpoint.port], owner)),
    ];
  }

  const members = pool.endpoints.slice(0, largestEndpoint);
  const numbers = number(before.numbers.get(mark) ?? new Map(), members.map(endpointId));
  const marks = members.map((endpoint) => mark + (numbers.get(endpointId(endpoint)) ?? 0));
  const draws = arrange(before.draws.get(mark) ?? [], marks, String);
  return [
    row(
      "pools",
      [mark],
      affinitySeconds === undefined ? ["spread", draws.length] : ["stick", draws.length, affinitySeconds],
      owner,
    ),
    ...draws.map((endpoint, i) => row("ids", [mark, i], [endpoint], owner)),
    ...members.map((one, i) => row("endpoints", [marks[i] ?? mark], [one.address, one.port], owner)),
  ];
}

type Target = Pick<ServiceEndpoint, "address" | "port">;

/** What the rows of a Service say of its pools, by pool mark. */
interface Before {
  readonly slots: ReadonlyMap<number, Target[]>;
  readonly draws: ReadonlyMap<number, number[]>;
  readonly numbers: ReadonlyMap<number, Map<string, number>>;
}

function indexOf(rows: readonly Row[]): Before {
  const slots = new Map<number, Target[]>();
  const draws = new Map<number, number[]>();
  const numbers = new Map<number, Map<string, number>>();
  for (const { table, key, value } of rows) {
    const mark = Number(key[0]);
    if (table === "slots") at(slots, mark, () => [])[Number(key[1])] = targetOf(value);
    else if (table === "ids") at(draws, mark, () => [])[Number(key[1])] = Number(value[0]);
    else if (table === "endpoints") {
      const id = mark % (endpointMask + 1);
      at(numbers, mark - id, () => new Map<string, number>()).set(endpointId(targetOf(value)), id);
    }
  }
  return { slots, draws, numbers };
}

function targetOf(value: Row["value"]): Target {
  return { address: String(value[0]), port: Number(value[1]) };
}

function at<T>(map: Map<number, T>, key: number, make: () => T): T {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function endpointId({ address, port }: Target): string {
  return `${address} ${port}`;
}

/** Rows of the node itself: where pods live, which addresses are Services', where NodePorts answer. */
export function rowsOfContext({ podCidrs, serviceCidrs, node }: ProxyContext): Row[] {
  const sets = { pods: podCidrs, cidrs: serviceCidrs, nodes: node.addresses.map((address) => `${address}/32`) };
  return Object.entries(sets).flatMap(([table, texts]) => {
    const cidrs = texts.map(parseCidr).filter((cidr) => cidr !== undefined && cidr.family === "IPv4");
    return withoutNested(cidrs.filter((cidr) => cidr !== undefined)).map(({ text }) =>
      row(table, [text], [], { object: `Node ${node.name}`, field: table }),
    );
  });
}

function row(table: string, key: Row["key"], value: Row["value"], owner: Owner): Row {
  return { table, key, value, owner };
}
