import { bitsOf, formatCidr, parseIp } from "../../kube/index.ts";

/**
 * The CIDRs that together are exactly a pool: one for a CIDR, as few as there can be for a range `FIRST-LAST` (RFC 4632).
 * The pool has been checked (`readSettings`).
 */
export function cidrsOf(pool: string): string[] {
  const [first, last] = pool.split("-").map(parseIp);
  if (!first || !last) return [pool];
  const { family } = first;
  const cidrs: string[] = [];
  for (let base = first.value; base <= last.value;) {
    // The largest block that begins here and does not go past the end.
    let free = 0n;
    while (free < bitsOf(family) && base % (2n << free) === 0n && base + (2n << free) - 1n <= last.value) free++;
    cidrs.push(formatCidr({ family, base, prefix: bitsOf(family) - Number(free), hostBits: false }));
    base += 1n << free;
  }
  return cidrs;
}
