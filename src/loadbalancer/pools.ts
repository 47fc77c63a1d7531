import { bitsOf, formatIp, parseCidr, parseIp, type Ip, type IpFamily } from "../kube/index.ts";

/** A run of addresses that may be given to Services. Both ends belong to it. */
export interface AddressRange {
  /** As it was written. */
  readonly text: string;
  readonly family: IpFamily;
  readonly first: bigint;
  readonly last: bigint;
}

/** A pool is not written as it must be. */
export class PoolError extends Error {
  readonly code = "POOL";
}

/**
 * Reads pools: `10.97.0.0/24`, `10.97.0.10-10.97.0.20` or one address, of either family. Of an IPv4 block the first and the last
 * address are left out, as some clients take them for its network and broadcast addresses; a range says exactly what it says.
 * Throws PoolError for what is none of these, and for pools that share addresses.
 */
export function parsePools(texts: readonly string[]): AddressRange[] {
  const ranges: AddressRange[] = [];
  for (const text of texts) {
    const range = parseBlock(text) ?? parseRange(text);
    if (!range) {
      throw new PoolError(`not an address pool: ${JSON.stringify(text)}; write a block as 10.97.0.0/24 or FIRST-LAST`);
    }
    const other = ranges.find(
      ({ family, first, last }) => family === range.family && first <= range.last && range.first <= last,
    );
    if (other) throw new PoolError(`the address pools ${other.text} and ${text} share addresses`);
    ranges.push(range);
  }
  return ranges;
}

function parseBlock(text: string): AddressRange | undefined {
  const block = parseCidr(text);
  if (!block || block.hostBits) return undefined;
  const { family, base, prefix } = block;
  const free = BigInt(bitsOf(family) - prefix);
  const last = base + (1n << free) - 1n;
  const edge = family === "IPv4" && free > 1n ? 1n : 0n;
  return { text, family, first: base + edge, last: last - edge };
}

function parseRange(text: string): AddressRange | undefined {
  const [from = "", to = from, ...more] = text.split("-").map((part) => part.trim());
  const first = parseIp(from);
  const last = parseIp(to);
  if (!first || !last || more.length > 0 || first.family !== last.family || first.value > last.value) return undefined;
  return { text, family: first.family, first: first.value, last: last.value };
}

/** The pool that an address is in. */
export function poolOf(ranges: readonly AddressRange[], ip: Ip): AddressRange | undefined {
  return ranges.find(({ family, first, last }) => family === ip.family && first <= ip.value && ip.value <= last);
}

/** The lowest address of a family that is not taken. Looks at as many addresses as are taken, however large the pools are. */
export function firstFree(
  ranges: readonly AddressRange[],
  family: IpFamily,
  isTaken: (address: string) => boolean,
): string | undefined {
  for (const range of ranges) {
    if (range.family !== family) continue;
    for (let value = range.first; value <= range.last; value++) {
      const address = formatIp({ family, value });
      if (!isTaken(address)) return address;
    }
  }
  return undefined;
}
