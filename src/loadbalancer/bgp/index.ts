export { startBgpAgent, type BgpAgentOptions } from "./agent.ts";
export { BgpConfigError, birdConfig, protocolName } from "./config.ts";
export { parseCommunity, type Community } from "./community.ts";
export {
  bgpPeers,
  bgpSessions,
  establishedCondition,
  type BgpAdvertisement,
  type BgpPeer,
  type BgpPeerSpec,
  type BgpSession,
  type BgpSessionStatus,
} from "./definitions.ts";
export { planBgp, type BgpNeighbor, type BgpPlan, type BgpRoute } from "./plan.ts";
export { sessionName } from "./report.ts";
