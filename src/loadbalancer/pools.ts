import {
  bitsOf,
  formatIp,
  matchesLabels,
  parseCidr,
  parseIp,
  type Ip,
  type IpFamily,
  type LabelSelector,
} from "../kube/index.ts";
import { announceFault } from "./announce.ts";
import type { AddressPoolSpec, Reservation } from "./definitions.ts";

/** A run of addresses that may be given to Services. Both ends belong to it. */
export interface AddressRange {
  /** As it was written. */
  readonly text: string;
  readonly family: IpFamily;
  readonly first: bigint;
  readonly last: bigint;
  /** Addresses whose last byte is 0 or 255 do not belong to it. */
  readonly avoidsEdges?: boolean;
  /** Belongs to it, but only who asks for it by name gets it. */
  readonly onRequest?: bigint;
}

/** Addresses with one rule about who gets them. */
export interface Pool {
  readonly name: string;
  readonly ranges: readonly AddressRange[];
  readonly autoAssign: boolean;
  /** Lower comes first; 0 comes last. */
  readonly priority: number;
  readonly reservation: Reservation;
  /** Whom it serves; absent: everyone. */
  readonly namespaces?: readonly string[];
  readonly namespaceSelectors?: readonly LabelSelector[];
  readonly serviceSelectors?: readonly LabelSelector[];
}

/** A pool is not written as it must be. */
export class PoolError extends Error {
  readonly code = "POOL";
}

/**
 * Reads addresses of a pool: `10.97.0.0/24`, `10.97.0.10-10.97.0.20` or one address, of either family. Of an IPv4 block the first and the last
 * address are left out unless `whole`, as some clients take them for its network and broadcast addresses; the first of an IPv6 block is given only
 * to who asks for it, as all routers of such a network have it (RFC 4291, 2.6.1; not of a /127: RFC 6164). A range says exactly what it says.
 * Throws PoolError for what is none of these, for ranges that share addresses, and for addresses that no machine can have.
 */
export function parsePools(texts: readonly string[], options: { whole?: boolean } = {}): AddressRange[] {
  const ranges: AddressRange[] = [];
  for (const text of texts) {
    const range = parseBlock(text, options.whole ?? false) ?? parseRange(text);
    if (!range) {
      throw new PoolError(`not an address pool: ${JSON.stringify(text)}; write a block as 10.97.0.0/24 or FIRST-LAST`);
    }
    const unusable = overlapOf(noAddresses, [range]);
    if (unusable) {
      throw new PoolError(`the address pool ${text} has addresses of ${unusable.text}, which no machine can have`);
    }
    const other = overlapOf(ranges, [range]);
    if (other) throw new PoolError(`the address pools ${other.text} and ${text} share addresses`);
    ranges.push(range);
  }
  return ranges;
}

/** "This network", multicast and broadcast, and the same of IPv6 (RFC 6890). */
const noAddresses: readonly AddressRange[] = [
  "0.0.0.0/8",
  "224.0.0.0/4",
  "255.255.255.255/32",
  "::/128",
  "ff00::/8",
].flatMap((text) => parseBlock(text, true) ?? []);

/** A range of `ranges` that shares addresses with one of `others`. */
export function overlapOf(ranges: readonly AddressRange[], others: readonly AddressRange[]): AddressRange | undefined {
  return ranges.find((one) =>
    others.some(({ family, first, last }) => family === one.family && first <= one.last && one.first <= last),
  );
}

function parseBlock(text: string, whole: boolean): AddressRange | undefined {
  const block = parseCidr(text.trim());
  if (!block || block.hostBits) return undefined;
  const { family, base, prefix } = block;
  const free = BigInt(bitsOf(family) - prefix);
  const last = base + (1n << free) - 1n;
  const edge = !whole && family === "IPv4" && free > 1n ? 1n : 0n;
  const ofRouters = family === "IPv6" && free > 1n ? { onRequest: base } : {};
  return { text, family, first: base + edge, last: last - edge, ...ofRouters };
}

function parseRange(text: string): AddressRange | undefined {
  const [from = "", to = from, ...more] = text.split("-").map((part) => part.trim());
  const first = parseIp(from);
  const last = parseIp(to);
  if (!first || !last || more.length > 0 || first.family !== last.family || first.value > last.value) return undefined;
  return { text, family: first.family, first: first.value, last: last.value };
}

/** A pool from the flags of a command: everyone gets addresses of it. Throws PoolError. */
export function flagPool(texts: readonly string[], name = "default"): Pool {
  return { name, ranges: parsePools(texts), autoAssign: true, priority: 0, reservation: "Preferred" };
}

/** A pool from an AddressPool's spec. Throws PoolError naming the field. */
export function readPool(name: string, spec: AddressPoolSpec, options: { whole?: boolean } = {}): Pool {
  const addresses = spec.addresses ?? [];
  if (addresses.length === 0)
    throw new PoolError(`AddressPool ${name}: spec.addresses is empty; name a block or range`);
  let ranges: AddressRange[];
  try {
    ranges = parsePools(addresses, options);
  } catch (error) {
    throw error instanceof PoolError ? new PoolError(`AddressPool ${name}: spec.addresses: ${error.message}`) : error;
  }
  const fault = announceFault(spec);
  if (fault !== undefined) throw new PoolError(`AddressPool ${name}: ${fault}`);
  const { namespaces, namespaceSelectors, serviceSelectors } = spec;
  return {
    name,
    ranges: spec.avoidBuggyIPs ? ranges.map((range) => ({ ...range, avoidsEdges: true })) : ranges,
    autoAssign: spec.autoAssign ?? true,
    priority: spec.priority ?? 0,
    reservation: spec.reservation ?? "Preferred",
    ...(namespaces?.length ? { namespaces } : {}),
    ...(namespaceSelectors?.length ? { namespaceSelectors } : {}),
    ...(serviceSelectors?.length ? { serviceSelectors } : {}),
  };
}

/** What of a Service decides which pools serve it. */
export interface PoolClient {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly namespaceLabels: Readonly<Record<string, string>>;
}

/** Whether a pool serves a Service: its namespace is named or selected, and its own labels are selected. */
export function serves(pool: Pool, { namespace, labels, namespaceLabels }: PoolClient): boolean {
  const { namespaces, namespaceSelectors, serviceSelectors } = pool;
  const named = namespaces?.includes(namespace) ?? false;
  const selected = namespaceSelectors?.some((one) => matchesLabels(one, namespaceLabels)) ?? false;
  if ((namespaces || namespaceSelectors) && !named && !selected) return false;
  return !serviceSelectors || serviceSelectors.some((one) => matchesLabels(one, labels));
}

/** Pools in the order in which they are asked: those made for some before those for all, then by priority, then by name. */
export function inOrder(pools: readonly Pool[]): Pool[] {
  const forAll = (pool: Pool) => ((pool.namespaces ?? pool.namespaceSelectors ?? pool.serviceSelectors) ? 0 : 1);
  const rank = ({ priority }: Pool) => (priority === 0 ? Number.POSITIVE_INFINITY : priority);
  return [...pools].sort(
    (a, b) =>
      forAll(a) - forAll(b) ||
      (rank(a) === rank(b) ? 0 : rank(a) - rank(b)) ||
      (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
}

/** Whether an address belongs to a range. */
export function isIn({ family, first, last, avoidsEdges }: AddressRange, ip: Ip): boolean {
  return family === ip.family && first <= ip.value && ip.value <= last && !(avoidsEdges && isEdge(ip.value));
}

const isEdge = (value: bigint) => (value & 0xffn) === 0n || (value & 0xffn) === 0xffn;

/** Whether an address of some pools is only for who asks for it. */
export function isOnRequest(pools: readonly Pool[], { family, value }: Ip): boolean {
  return pools.some(({ ranges }) => ranges.some((range) => range.family === family && range.onRequest === value));
}

/** The pool that an address is in. */
export function poolOf(pools: readonly Pool[], ip: Ip): Pool | undefined {
  return pools.find(({ ranges }) => ranges.some((range) => isIn(range, ip)));
}

/** The lowest address of a range, from `from` on, that is not taken and is given to anybody. */
export function firstFree(
  range: AddressRange,
  from: bigint,
  isTaken: (address: string) => boolean,
): { address: string; value: bigint } | undefined {
  for (let value = from < range.first ? range.first : from; value <= range.last; value++) {
    if (value === range.onRequest || (range.avoidsEdges && isEdge(value))) continue;
    const address = formatIp({ family: range.family, value });
    if (!isTaken(address)) return { address, value };
  }
  return undefined;
}

/** How many addresses a pool has. */
export function sizeOf(range: AddressRange): bigint {
  const all = range.last - range.first + 1n;
  if (!range.avoidsEdges) return all;
  const ending = (byte: bigint) => (range.last + 256n - byte) / 256n - (range.first + 255n - byte) / 256n;
  return all - ending(0n) - ending(255n);
}
