import { BlockList, isIPv4, isIPv6, SocketAddress } from "node:net";

export type Family = "IPv4" | "IPv6";

/** The family of an address in its strict form (no leading zeros, no zone); undefined for anything else. */
export function familyOf(address: string): Family | undefined {
  if (isIPv4(address)) return "IPv4";
  if (isIPv6(address) && !address.includes("%")) return "IPv6";
  return undefined;
}

/**
 * An address as the one text that stands for it, and its family: `fd00::0:1` is `fd00::1`, and `010.0.0.9`, which old API servers
 * stored, is 10.0.0.9, as Kubernetes reads it (KEP-4858). Undefined for anything else, IPv4 addresses in IPv6 form among it.
 */
export function readAddress(text: string): { readonly address: string; readonly family: Family } | undefined {
  if (isIPv4(text)) return { address: text, family: "IPv4" };
  if (isIPv6(text)) {
    if (text.includes("%")) return undefined;
    const { address } = new SocketAddress({ address: text, family: "ipv6" });
    return address.includes(".") ? undefined : { address, family: "IPv6" };
  }
  const parts = /^\d{1,16}(?:\.\d{1,16}){3}$/.test(text) ? text.split(".").map(Number) : [];
  return parts.length === 4 && parts.every((part) => part < 256)
    ? { address: parts.join("."), family: "IPv4" }
    : undefined;
}

const unusable = addressSet(["::/128", "fe80::/10", "ff00::/8"]);

// Asked for every endpoint at each change of its Service: IPv4 is told by its first bytes, a list of ranges costs microseconds.
function firstByte(address: string): number | undefined {
  return address.includes(":") ? undefined : Number.parseInt(address, 10);
}

/** Whether an address is this machine's own wherever it is asked for. */
export function isLoopback(address: string): boolean {
  const first = firstByte(address);
  return first === undefined ? readAddress(address)?.address === "::1" : first === 127 && isIPv4(address);
}

/**
 * Whether packets may be led to or from this address, in its one text: not unspecified, link-local, multicast or broadcast, as the API
 * demands of endpoints and external addresses. Loopback only where the whole cluster lives on it.
 */
export function isProxyable(address: string, allowLoopback: boolean): boolean {
  const first = firstByte(address);
  if (first === undefined) return !unusable.has(address) && (allowLoopback || address !== "::1");
  const isUsable = first !== 0 && first < 224 && !address.startsWith("169.254.");
  return isUsable && (allowLoopback || first !== 127);
}

/** The families of these addresses and ranges, IPv4 first; IPv4 when there is none. */
export function familiesIn(texts: readonly string[]): Family[] {
  const found = new Set(texts.map((text) => readAddress(text.split("/", 1)[0] ?? "")?.family));
  if (!found.has("IPv6")) return ["IPv4"];
  return found.has("IPv4") ? ["IPv4", "IPv6"] : ["IPv6"];
}

/** An address range in its one text: host bits are zero. */
export interface Cidr {
  readonly family: Family;
  readonly network: string;
  readonly prefix: number;
  readonly text: string;
}

/** Reads `network/prefix`; undefined when it is not one. Host bits are allowed and cleared, as Kubernetes reads them. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = "", prefixText = "", ...rest] = text.trim().split("/");
  const read = readAddress(address);
  if (!read || rest.length > 0 || !/^(0|[1-9][0-9]{0,2})$/.test(prefixText)) return undefined;
  const { family } = read;
  const prefix = Number(prefixText);
  if (prefix > (family === "IPv4" ? 32 : 128)) return undefined;
  const network = family === "IPv4" ? maskIPv4(read.address, prefix) : maskIPv6(read.address, prefix);
  return { family, network, prefix, text: `${network}/${prefix}` };
}

/** Whether an address lies in one of many ranges. */
export interface AddressSet {
  has(address: string): boolean;
}

/** Text that is not a range is left out. */
export function addressSet(cidrs: readonly string[]): AddressSet {
  const list = new BlockList();
  for (const text of cidrs) {
    const cidr = parseCidr(text);
    if (cidr) list.addSubnet(cidr.network, cidr.prefix, nodeFamily(cidr.family));
  }
  return {
    has(address) {
      const family = familyOf(address);
      return family !== undefined && list.check(address, nodeFamily(family));
    },
  };
}

/** The same addresses with no range inside another: what interval sets of the kernel want. Sorted. */
export function withoutNested(cidrs: readonly Cidr[]): Cidr[] {
  const kept: Cidr[] = [];
  const widestFirst = [...cidrs].sort((a, b) => a.prefix - b.prefix || (a.text < b.text ? -1 : 1));
  const covered: Record<Family, BlockList> = { IPv4: new BlockList(), IPv6: new BlockList() };
  for (const cidr of widestFirst) {
    if (covered[cidr.family].check(cidr.network, nodeFamily(cidr.family))) continue;
    covered[cidr.family].addSubnet(cidr.network, cidr.prefix, nodeFamily(cidr.family));
    kept.push(cidr);
  }
  return kept;
}

function maskIPv4(address: string, prefix: number): string {
  const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const block = 2 ** (32 - prefix);
  const network = Math.floor(number / block) * block;
  return [24, 16, 8, 0].map((shift) => Math.floor(network / 2 ** shift) % 256).join(".");
}

function maskIPv6(address: string, prefix: number): string {
  const [head = "", tail] = address.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const all = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
  const kept = all.map((group, i) => {
    const bits = Math.min(16, Math.max(0, prefix - 16 * i));
    return group & (0xffff << (16 - bits)) & 0xffff;
  });
  return readAddress(kept.map((group) => group.toString(16)).join(":"))?.address ?? address;
}

function nodeFamily(family: Family): "ipv4" | "ipv6" {
  return family === "IPv4" ? "ipv4" : "ipv6";
}
