export type IpFamily = "IPv4" | "IPv6";

/** An address as a number: addition and comparison are addresses' own. */
export interface Ip {
  readonly family: IpFamily;
  readonly value: bigint;
}

export interface Cidr {
  readonly family: IpFamily;
  /** The first address. */
  readonly base: bigint;
  /** Length of the prefix in bits. */
  readonly prefix: number;
  /** True when the text had bits set beyond the prefix. */
  readonly hostBits: boolean;
}

export const bitsOf = (family: IpFamily): number => (family === "IPv4" ? 32 : 128);

/** Reads an address, strictly: no leading zeros, no zone. Undefined when it is none. */
export function parseIp(text: string): Ip | undefined {
  if (text.length > 45) return undefined;
  if (!text.includes(":")) {
    const value = parseV4(text, false);
    return value === undefined ? undefined : { family: "IPv4", value };
  }
  const value = parseV6(text);
  return value === undefined ? undefined : { family: "IPv6", value };
}

/** True for what only older versions took as an address: IPv4 with leading zeros, read as decimal. */
export function hasLeadingZeros(text: string): boolean {
  return parseIp(text) === undefined && !text.includes(":") && parseV4(text, true) !== undefined;
}

function parseV4(text: string, sloppy: boolean): bigint | undefined {
  const parts = text.split(".");
  const form = sloppy ? /^\d+$/ : /^(0|[1-9]\d{0,2})$/;
  if (parts.length !== 4 || !parts.every((part) => form.test(part) && Number(part) < 256)) return undefined;
  return parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}

function parseV6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  // The last 32 bits may be written as IPv4.
  const last = groups.at(-1);
  const tail = last?.at(-1);
  if (last && tail?.includes(".")) {
    const value = parseV4(tail, false);
    if (value === undefined) return undefined;
    last.splice(-1, 1, (value >> 16n).toString(16), (value & 0xffffn).toString(16));
  }
  const given = groups.reduce((count, half) => count + half.length, 0);
  if (halves.length === 2 ? given > 7 : given !== 8) return undefined;
  const [head = [], rest = []] = groups;
  const all = [...head, ...Array<string>(8 - given).fill("0"), ...rest];
  if (!all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

/** An address as it stands before a port, in a URL say: `[fd00::1]`, `10.0.0.1`. */
export const beforePort = (address: string): string => (address.includes(":") ? `[${address}]` : address);

/** The canonical text: RFC 5952 for IPv6; IPv4-mapped IPv6 as IPv4, as Go prints it. */
export function formatIp({ family, value }: Ip): string {
  if (family === "IPv4" || isMapped({ family, value })) {
    return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
  }
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  const run = longestZeroRun(groups);
  if (run.length < 2) return groups.join(":");
  return `${groups.slice(0, run.start).join(":")}::${groups.slice(run.start + run.length).join(":")}`;
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === "0") length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

/** `::ffff:a.b.c.d`. */
export const isMapped = ({ family, value }: Ip): boolean => family === "IPv6" && value >> 32n === 0xffffn;

/** The canonical text of an address; undefined when it is none. */
export function canonicalIp(text: string): string | undefined {
  const ip = parseIp(text);
  return ip && formatIp(ip);
}

/** Reads `address/bits`, strictly. Undefined when it is none. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = "", bits = "", ...more] = text.split("/");
  const ip = parseIp(address);
  if (!ip || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(bits) || Number(bits) > bitsOf(ip.family)) return undefined;
  const prefix = Number(bits);
  const free = BigInt(bitsOf(ip.family) - prefix);
  const base = (ip.value >> free) << free;
  return { family: ip.family, base, prefix, hostBits: base !== ip.value };
}

export function formatCidr({ family, base, prefix }: Cidr): string {
  return `${formatIp({ family, value: base })}/${prefix}`;
}

export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  const free = BigInt(bitsOf(cidr.family) - cidr.prefix);
  return cidr.family === ip.family && ip.value >> free === cidr.base >> free;
}

/** How many addresses a block has. */
export const cidrSize = (cidr: Cidr): bigint => 1n << BigInt(bitsOf(cidr.family) - cidr.prefix);

const blocks = (...texts: string[]) => texts.flatMap((text) => parseCidr(text) ?? []);
const loopback = blocks("127.0.0.0/8", "::1/128");
const linkLocal = blocks("169.254.0.0/16", "fe80::/10");
const linkLocalMulticast = blocks("224.0.0.0/24", "ff02::/16");

export const isUnspecified = (ip: Ip): boolean => ip.value === 0n;
export const isLoopback = (ip: Ip): boolean => loopback.some((block) => cidrContains(block, ip));
export const isLinkLocal = (ip: Ip): boolean => linkLocal.some((block) => cidrContains(block, ip));
export const isLinkLocalMulticast = (ip: Ip): boolean => linkLocalMulticast.some((block) => cidrContains(block, ip));
