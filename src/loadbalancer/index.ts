export { startLoadBalancer, startAddressController, cleanupFinalizer } from "./load-balancer.ts";
export type { LoadBalancerOptions, AddressControllerOptions } from "./load-balancer.ts";
export { parsePools, PoolError } from "./pools.ts";
export { addressAnnotations } from "./request.ts";
export { assignedCondition } from "./status.ts";
export * from "./provider.ts";
export { createNeighbourProbe, noProbe, type AddressProbe } from "./probe.ts";
export {
  addressClaims,
  addressPools,
  announcedCondition,
  definitions,
  ensureDefinitions,
  type AddressClaim,
  type AddressClaimSpec,
  type AddressPool,
  type AddressPoolSpec,
  type AnnounceSpec,
  type ClaimOwner,
} from "./definitions.ts";
export {
  readAnnouncements,
  type AddressHolder,
  type AnnounceFault,
  type Announcement,
  type AnnounceObjects,
} from "./announcement.ts";
export { claimName } from "./claims.ts";
export { poolClass } from "./pool-provider.ts";
export { reservationsCsv, reservationsOf, type AddressReservation } from "./reservations.ts";
export { startVipAgent, stopVipDaemon, VipConfigError, type VipAgent, type VipAgentOptions } from "./vip/index.ts";
export {
  bgpPeers,
  bgpSessions,
  speakerNames,
  startBgpAgent,
  type BgpAdvertisement,
  type BgpAgentOptions,
  type BgpPeer,
  type BgpSession,
  type SpeakerName,
} from "./bgp/index.ts";
export * from "./provider/index.ts";
export * from "./front-ends/keepalived-vip/index.ts";
export * from "./front-ends/hp-loadbalancer/index.ts";
export * from "./front-ends/service-loadbalancer/index.ts";
export * from "./front-ends/lb-controller/index.ts";
