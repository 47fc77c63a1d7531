export { startBgpAgent, type BgpAgentOptions } from "./agent.ts";
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
export { BgpConfigError } from "./session.ts";
export { speakerNames, type SpeakerName } from "./speaker.ts";
