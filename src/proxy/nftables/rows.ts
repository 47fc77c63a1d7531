import type {
  Family,
  Frontend,
  NodePlan,
  Pool,
  PortPlan,
  ProxyContext,
  ServiceEndpoint,
} from "../../services/index.ts";
import { bucketsOf, loadBalancerAddresses, parseCidr, tellsPods, withoutNested } from "../../services/index.ts";
import type { Owner, Row } from "../../tables/index.ts";
import { arrange, number } from "./arrange.ts";
import { endpointMask, kinds, largestEndpoint, poolMark } from "./marks.ts";
import { slotSizes } from "./ruleset.ts";
import { placeOf } from "./serialise.ts";

/** What a Service port is numbered by: each family has a number of its own. */
export function numberedId({ family, id }: Pick<PortPlan, "family" | "id">): string {
  return `${family} ${id}`;
}

/** A row's table: the tables of IPv6 end in 6. */
function tableFor(name: string, family: Family): string {
  return family === "IPv6" ? `${name}6` : name;
}

/** Numbers of Service ports, by `numberedId`. A number is free again when its port is gone. */
export interface PortNumbers {
  /** Undefined when all numbers are taken. */
  take(id: string): number | undefined;
  release(id: string): void;
  /** Keeps a number for a port that is expected: nobody else is given it. */
  reserve(number: number): void;
  /** Gives a port a number that is reserved; false when it has one or another has it. */
  claim(id: string, number: number): boolean;
  /** What is reserved still is free. */
  releaseReserved(): void;
}

export function createPortNumbers(largest: number): PortNumbers {
  const numbers = new Map<string, number>();
  const free: number[] = [];
  const reserved = new Set<number>();
  /** Below it all numbers are taken, reserved or in `free`. */
  let fresh = 1;
  return {
    reserve(number) {
      if (number < 1 || number > largest || reserved.has(number)) return;
      for (; fresh <= number; fresh++) if (fresh < number) free.push(fresh);
      const at = free.indexOf(number);
      if (at >= 0) free.splice(at, 1);
      reserved.add(number);
    },
    claim(id, number) {
      if (numbers.has(id) || !reserved.delete(number)) return false;
      numbers.set(id, number);
      return true;
    },
    releaseReserved() {
      free.push(...reserved);
      reserved.clear();
    },
    take(id) {
      const known = numbers.get(id);
      if (known !== undefined) return known;
      const next = free.pop() ?? (fresh <= largest ? fresh++ : undefined);
      if (next === undefined) return undefined;
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
  const hairpin = new Map<string, Family>();
  const virtual = new Map<string, Family>();
  for (const port of plan.ports) {
    if (port.frontends.length === 0) continue;
    const id = numbers.take(numberedId(port));
    if (id === undefined) continue;
    rows.push(...frontendRows(port, id, object));
    for (const [pool, mark] of poolsOf(port, id)) {
      rows.push(...poolRows(port, pool, mark, { object, field: "endpoints" }, before));
      for (const { nodeName, address } of pool.endpoints)
        if (nodeName === context.node.name) hairpin.set(address, port.family);
    }
    for (const address of loadBalancerAddresses(port)) virtual.set(address, port.family);
  }
  for (const [address, family] of hairpin)
    rows.push(row(tableFor("hairpin", family), [address, address], [], { object, field: "endpoints" }));
  for (const [address, family] of virtual)
    rows.push(row(tableFor("vips", family), [address], [], { object, field: "status.loadBalancer.ingress" }));
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
  const name = (table: string) => tableFor(table, port.family);
  const rows: Row[] = [];
  const ranges = new Map<string, number>();
  for (const frontend of port.frontends) {
    const owner = { object, field: frontend.field };
    const protocol = frontend.protocol.toLowerCase();
    const mark = kindOf(frontend) + poolMark(id, frontend.kind === "ClusterIP" && frontend.policy === "Local");
    if (frontend.address === undefined) rows.push(row(name("nodeports"), [protocol, frontend.port], [mark], owner));
    else rows.push(row(name("frontends"), [frontend.address, protocol, frontend.port], [mark], owner));
    // All load-balancer addresses of a Service have the same ranges.
    for (const range of frontend.sourceRanges ?? []) ranges.set(range, mark);
  }
  const owner = { object, field: "spec.loadBalancerSourceRanges" };
  for (const [range, mark] of ranges) rows.push(row(name("ranges"), [mark, range], [], owner));
  return rows;
}

function kindOf({ kind, policy, sourceRanges }: Frontend): number {
  if (kind === "ClusterIP") return kinds.internal;
  if (policy === "Local") return sourceRanges ? kinds.guardedLocal : kinds.externalLocal;
  return sourceRanges ? kinds.guardedExternal : kinds.external;
}

function poolRows(port: PortPlan, pool: Pool, mark: number, owner: Owner, before: Before): Row[] {
  const { affinitySeconds } = port;
  const name = (table: string) => tableFor(table, port.family);
  const poolRow = (...verdict: Row["value"]) =>
    row(name("pools"), [mark], port.log ? ["log", ...verdict] : verdict, owner);
  if (pool.endpoints.length === 0) return [poolRow(port.anywhere ? "drop" : "refuse")];

  const hashes = port.balance === "source-hash" && affinitySeconds === undefined && pool.endpoints.length > 1;
  const shares = sharesOf(pool.endpoints, affinitySeconds === undefined ? slotSizes : largestEndpoint);
  if (!hashes && affinitySeconds === undefined && shares.length <= slotSizes) {
    const slots = arrange(before.slots.get(mark) ?? [], shares, endpointId);
    return [
      poolRow("pick", slots.length),
      ...slots.map((endpoint, i) => row(name("slots"), [mark, i], [endpoint.address, endpoint.port], owner)),
    ];
  }

  const members = pool.endpoints.slice(0, largestEndpoint);
  const numbers = number(before.numbers.get(mark) ?? new Map(), members.map(endpointId));
  const markOf = (endpoint: ServiceEndpoint) => mark + (numbers.get(endpointId(endpoint)) ?? 0);
  const marks = members.map(markOf);
  if (hashes) {
    // An endpoint beyond those that have a number gets no clients of its own: theirs go by the first.
    const buckets = [...bucketsOf(pool.endpoints)];
    return [
      poolRow("hash", buckets.length),
      ...buckets.map((one, i) => row(name("ids"), [mark, i], [marks[one] ?? marks[0] ?? mark], owner)),
      ...members.map((one, i) => row(name("endpoints"), [marks[i] ?? mark], [one.address, one.port], owner)),
    ];
  }
  const draws = arrange(before.draws.get(mark) ?? [], sharesOf(members, largestEndpoint).map(markOf), String);
  return [
    affinitySeconds === undefined ? poolRow("spread", draws.length) : poolRow("stick", draws.length, affinitySeconds),
    ...draws.map((endpoint, i) => row(name("ids"), [mark, i], [endpoint], owner)),
    ...members.map((one, i) => row(name("endpoints"), [marks[i] ?? mark], [one.address, one.port], owner)),
  ];
}

/** Each endpoint as often as its share is; where that is more than `most`, shares are made smaller, but nobody's to none. */
function sharesOf(endpoints: readonly ServiceEndpoint[], most: number): readonly ServiceEndpoint[] {
  if (endpoints.every(({ weight }) => weight === undefined)) return endpoints;
  const sum = endpoints.reduce((all, { weight = 1 }) => all + weight, 0);
  // Slots are few: a sum above them is drawn from the larger table, as it is.
  const room = sum <= most || most === slotSizes ? largestEndpoint : most;
  const scale = sum <= room ? 1 : Math.max(0, room - endpoints.length) / sum;
  return endpoints.flatMap((endpoint) => {
    const { weight = 1 } = endpoint;
    const copies = scale === 1 ? weight : 1 + Math.floor(weight * scale);
    return Array.from({ length: copies }, () => endpoint);
  });
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
    const { name } = placeOf(table);
    if (name === "slots") at(slots, mark, () => [])[Number(key[1])] = targetOf(value);
    else if (name === "ids") at(draws, mark, () => [])[Number(key[1])] = Number(value[0]);
    else if (name === "endpoints") {
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

/** Rows of the node itself: where pods live, whose source is left, which addresses are Services', where NodePorts answer. */
export function rowsOfContext(context: ProxyContext): Row[] {
  const { podCidrs, podInterfaces = [], serviceCidrs, node } = context;
  const object = `Node ${node.name}`;
  return context.families.flatMap((family) => {
    const everywhere = family === "IPv4" ? "0.0.0.0/0" : "::/0";
    const pods = context.podInterfaces ? [] : podCidrs;
    const sets = {
      pods,
      unmasked: context.masqueradeAll ? [] : tellsPods(context, family) ? pods : [everywhere],
      cidrs: serviceCidrs,
      nodes: node.nodePortAddresses ?? node.addresses.map((address) => `${address}/${family === "IPv4" ? 32 : 128}`),
    };
    const ranges = Object.entries(sets).flatMap(([table, texts]) => {
      const cidrs = texts.flatMap((text) => parseCidr(text) ?? []).filter((cidr) => cidr.family === family);
      return withoutNested(cidrs).map(({ text }) => row(tableFor(table, family), [text], [], { object, field: table }));
    });
    const links = (table: string, names: readonly string[]) =>
      names.map((name) => row(tableFor(table, family), [name], [], { object, field: table }));
    return [
      ...ranges,
      ...links("podlinks", podInterfaces),
      ...links("unmaskedlinks", context.masqueradeAll ? [] : podInterfaces),
    ];
  });
}

function row(table: string, key: Row["key"], value: Row["value"], owner: Owner): Row {
  return { table, key, value, owner };
}
