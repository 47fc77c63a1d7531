import { BlockList, isIPv4, isIPv6 } from "node:net";

export type Family = "IPv4" | "IPv6";

/** The family of an address in its strict form (no leading zeros, no zone); undefined for anything else. */
export function familyOf(address: string): Family | undefined {
  if (isIPv4(address)) return "IPv4";
  if (isIPv6(address) && !address.includes("%")) return "IPv6";
  return undefined;
}

/** An address range. `text` is canonical for IPv4: host bits are zero. */
export interface Cidr {
  readonly family: Family;
  readonly network: string;
  readonly prefix: number;
  readonly text: string;
}

/** Reads `network/prefix`; undefined when it is not one. Host bits are allowed and cleared, as Kubernetes reads them. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = "", prefixText = "", ...rest] = text.trim().split("/");
  const family = familyOf(address);
  if (!family || rest.length > 0 || !/^(0|[1-9][0-9]{0,2})$/.test(prefixText)) return undefined;
  const prefix = Number(prefixText);
  if (prefix > (family === "IPv4" ? 32 : 128)) return undefined;
  const network = family === "IPv4" ? maskIPv4(address, prefix) : address;
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

function nodeFamily(family: Family): "ipv4" | "ipv6" {
  return family === "IPv4" ? "ipv4" : "ipv6";
}
