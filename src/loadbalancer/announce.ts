import { bitsOf, parseCidr, parseIp, type IpFamily } from "../kube/index.ts";
import { parseCommunity } from "./bgp/community.ts";
import type { AddressPoolSpec } from "./definitions.ts";

/**
 * What is wrong with how a pool is to be announced, with the field; undefined when nothing is. A prefix that is announced must not have addresses
 * outside of the pool: packets for those would come here as well.
 */
export function announceFault({ addresses = [], announce }: AddressPoolSpec): string | undefined {
  const { protocol = "None", advertisements = [], advertisementIntervalMs: interval } = announce ?? {};
  if (protocol !== "BGP" && advertisements.length > 0)
    return `spec.announce.advertisements: they are for the protocol BGP, not ${protocol}`;
  if (protocol !== "VRRP" && interval !== undefined)
    return `spec.announce.advertisementIntervalMs: it is for the protocol VRRP, not ${protocol}`;
  for (const [i, { communities = [], aggregationLength, aggregationLengthV6 }] of advertisements.entries()) {
    const at = `spec.announce.advertisements[${i}]`;
    const wrong = communities.find((one) => !parseCommunity(one));
    if (wrong !== undefined) {
      return `${at}.communities: ${JSON.stringify(wrong)} is none; write it as 64512:100, large:64512:1:2 or no-export`;
    }
    for (const [family, length, field] of [
      ["IPv4", aggregationLength, "aggregationLength"],
      ["IPv6", aggregationLengthV6, "aggregationLengthV6"],
    ] as const) {
      if (length === undefined) continue;
      const beyond = addresses.find((text) => reachesBeyond(text, family, length));
      if (beyond !== undefined) {
        return `${at}.${field}: a prefix of ${length} bits would have addresses outside of ${beyond}; use a longer one, or a larger block`;
      }
    }
  }
  return undefined;
}

/** Whether a block of a length that has an address of a range has one outside of it as well. */
function reachesBeyond(text: string, family: IpFamily, length: number): boolean {
  const block = parseCidr(text.trim());
  if (block) return block.family === family && length < block.prefix;
  const [first, last = first] = text.split("-").map((part) => parseIp(part.trim()));
  if (!first || !last || first.family !== family) return false;
  const free = BigInt(bitsOf(family) - length);
  return (first.value >> free) << free !== first.value || ((last.value + 1n) >> free) << free !== last.value + 1n;
}
