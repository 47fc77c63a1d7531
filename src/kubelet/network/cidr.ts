import { NetworkError } from "./network.ts";

/** An IPv4 range. */
export interface Range {
  readonly base: number;
  /** Number of addresses. */
  readonly size: number;
  readonly prefix: number;
}

/** Reads `a.b.c.d/n` with 8 <= n <= `longest`. Throws `NetworkError` BAD_CIDR. */
export function parseRange(cidr: string, longest = 32): Range {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr);
  const [a = -1, b = -1, c = -1, d = -1, prefix = -1] = match?.slice(1).map(Number) ?? [];
  if ([a, b, c, d].some((part) => part < 0 || part > 255) || prefix < 8 || prefix > longest) {
    throw new NetworkError("BAD_CIDR", `"${cidr}" is not an IPv4 range such as 10.42.0.0/24`);
  }
  const size = 2 ** (32 - prefix);
  const address = ((a * 256 + b) * 256 + c) * 256 + d;
  return { base: address - (address % size), size, prefix };
}

/** The address `offset` places after the range's first. */
export function addressAt(range: Range, offset: number): string {
  const value = range.base + offset;
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}
