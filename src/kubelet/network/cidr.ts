import { bitsOf, formatIp, type IpFamily, parseCidr } from "../../kube/index.ts";
import { NetworkError } from "./network.ts";

/** A range of addresses. */
export interface Range {
  readonly family: IpFamily;
  readonly base: bigint;
  /** Number of addresses that can be told apart by a number; an IPv6 range has more. */
  readonly size: number;
  readonly prefix: number;
}

const most = 2 ** 32;

/** Reads `a.b.c.d/n` with 8 <= n, or an IPv6 range with 16 <= n; `longest` leaves that many bits for hosts. Throws `NetworkError` BAD_CIDR. */
export function parseRange(cidr: string, hostBits = 0): Range {
  const read = parseCidr(cidr);
  const bits = read ? bitsOf(read.family) : 0;
  if (!read || read.prefix < bits / 8 + (bits === 32 ? 4 : 0) || read.prefix > bits - hostBits) {
    throw new NetworkError("BAD_CIDR", `"${cidr}" is not a range such as 10.42.0.0/24 or fd00:10:42::/64`);
  }
  const { family, base, prefix } = read;
  return { family, base, prefix, size: Math.min(2 ** (bits - prefix), most) };
}

/** The address `offset` places after the range's first. */
export function addressAt({ family, base }: Range, offset: number): string {
  return formatIp({ family, value: base + BigInt(offset) });
}
