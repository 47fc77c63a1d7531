import { expect, test } from "vitest";
import { announceFault } from "./announce.ts";
import type { AddressPoolSpec } from "./definitions.ts";

const bgp = (addresses: readonly string[], advertisement: object): AddressPoolSpec => ({
  addresses,
  announce: { protocol: "BGP", advertisements: [advertisement] },
});

test.each<[string, AddressPoolSpec, RegExp | undefined]>([
  ["nothing is asked for", { addresses: ["192.0.2.0/24"] }, undefined],
  ["a block as a whole", bgp(["192.0.2.0/24"], { aggregationLength: 24 }), undefined],
  ["parts of a block", bgp(["192.0.2.0/24"], { aggregationLength: 28 }), undefined],
  [
    "more than the block",
    bgp(["192.0.2.0/24"], { aggregationLength: 23 }),
    /aggregationLength: .*outside of 192.0.2.0\/24/,
  ],
  ["more than a range", bgp(["192.0.2.10-192.0.2.20"], { aggregationLength: 28 }), /aggregationLength: .*outside/],
  ["a range that is a block", bgp(["192.0.2.16-192.0.2.31"], { aggregationLength: 28 }), undefined],
  ["the other family", bgp(["192.0.2.10"], { aggregationLengthV6: 64 }), undefined],
  ["more than a block of IPv6", bgp(["fd00::/64"], { aggregationLengthV6: 48 }), /aggregationLengthV6/],
  [
    "a community that is none",
    bgp(["192.0.2.10"], { communities: ["64512:1", "x"] }),
    /advertisements\[0\].communities: "x"/,
  ],
  ["announcements without BGP", { announce: { protocol: "VRRP", advertisements: [{}] } }, /for the protocol BGP/],
  ["VRRP's interval for BGP", { announce: { protocol: "BGP", advertisementIntervalMs: 100 } }, /for the protocol VRRP/],
])("%s", (_, spec, fault) => {
  if (fault === undefined) expect(announceFault(spec)).toBeUndefined();
  else expect(announceFault(spec)).toMatch(fault);
});
