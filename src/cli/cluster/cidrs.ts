/**
 * The CIDRs that together are exactly a pool: one for a CIDR, as few as there can be for a range `FIRST-LAST` (RFC 4632).
 * The pool has been checked (`readSettings`).
 */
export function cidrsOf(pool: string): string[] {
  const [from = "", to] = pool.split("-");
  if (to === undefined) return [pool];
  const cidrs: string[] = [];
  const last = toNumber(to);
  for (let first = toNumber(from); first <= last;) {
    // The largest block that begins here and does not go past the end.
    let size = 1;
    while (size < 2 ** 32 && first % (size * 2) === 0 && first + size * 2 - 1 <= last) size *= 2;
    cidrs.push(`${toText(first)}/${32 - Math.log2(size)}`);
    first += size;
  }
  return cidrs;
}

const toNumber = (address: string) => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

const toText = (number: number) => [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join(".");
