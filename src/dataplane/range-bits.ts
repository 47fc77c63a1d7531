import { parseCidr } from "../services/index.ts";

/** Address ranges in a form that a small program can ask: the first bits of an address, as text, in a set. */
export interface RangeBits {
  /** Prefix lengths that IPv4 ranges have; each once. */
  readonly lengths4: readonly number[];
  readonly lengths6: readonly number[];
  /** `4` or `6`, then so many bits as `0` and `1`. */
  readonly prefixes: Readonly<Record<string, true>>;
}

/** Text that is not a range is left out: nobody is in it. */
export function rangeBits(cidrs: readonly string[]): RangeBits {
  const lengths = { 4: new Set<number>(), 6: new Set<number>() };
  const prefixes: Record<string, true> = {};
  for (const text of cidrs) {
    const cidr = parseCidr(text);
    if (!cidr) continue;
    const family = cidr.family === "IPv4" ? 4 : 6;
    lengths[family].add(cidr.prefix);
    prefixes[`${family}${bitsOf(cidr.network).slice(0, cidr.prefix)}`] = true;
  }
  return { lengths4: [...lengths[4]], lengths6: [...lengths[6]], prefixes };
}

/** The bits of an address in its one text (`readAddress`). */
export function bitsOf(address: string): string {
  const bits = (value: number, size: number): string => value.toString(2).padStart(size, "0");
  if (!address.includes(":"))
    return address
      .split(".")
      .map((part) => bits(Number(part), 8))
      .join("");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [head = "", tail] = address.split("::");
  const [first, last] = [groups(head), groups(tail ?? "")];
  const missing = Array.from({ length: 8 - first.length - last.length }, () => "0");
  return [...first, ...missing, ...last].map((part) => bits(Number.parseInt(part, 16), 16)).join("");
}
