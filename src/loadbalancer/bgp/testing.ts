import type { BgpPeerSpec } from "./definitions.ts";
import type { BgpNeighbor, BgpRoute } from "./plan.ts";

/** A session and its one route, for tests of what is made of them. */
export const spec: BgpPeerSpec = { peerAddress: "10.0.0.254", peerASN: 65_000, localASN: 64_512 };
export const route: BgpRoute = { prefix: "192.0.2.10/32", communities: [], isFallback: false };
export const neighbor = (more: Partial<BgpNeighbor> = {}): BgpNeighbor => ({
  name: "tor",
  spec,
  family: "IPv4",
  source: "10.0.0.1",
  routes: [route],
  ...more,
});
