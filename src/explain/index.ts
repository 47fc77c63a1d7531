export * from "./exposure.ts";
export { exposures, type ExposureOptions } from "./exposures.ts";
export { announcementsIn, type AnnouncementOf, type Holding } from "./held.ts";
export { ExplainError } from "./error.ts";
export { createCluster, nodeAddresses, type Cluster, type ClusterFacts } from "./cluster.ts";
export { assumeObjects, type Assumed, type Assumption } from "./assume.ts";
export type * from "./packet/packet-trace.ts";
export { parseReference, parseTarget, type Reference, type Target } from "./packet/reference.ts";
export { tracePacket, type PacketQuestion } from "./packet/trace.ts";
export { at } from "./packet/client.ts";
export type { Comparison } from "./live/compare.ts";
export { compareLive, type WitnessOptions } from "./live/witness.ts";
export { some, type Check, type Facts, type Finding } from "./doctor/check.ts";
export { checks, examine } from "./doctor/doctor.ts";
export { factsOf, type FactsOptions } from "./doctor/facts.ts";
export type { NodeFacts } from "./doctor/node-facts.ts";
export { readNodes, type ReadNodeOptions } from "./doctor/read-node.ts";
export {
  parseSubject,
  tell,
  type Chapter,
  type NodeDraining,
  type Story,
  type StoryOptions,
  type Subject,
} from "./story/story.ts";
export { traceRequest, type RequestQuestion, type RequestTrace } from "./request/request-trace.ts";
export { sendRequest, type SentRequest } from "./live/request.ts";
export type { GatewayView } from "./gateway-faults.ts";
export {
  gatewayRouting,
  type GatewayObjects,
  type GatewayRoutingOptions,
  gatewaysWith,
  gatewayWith,
  isOfGatewayApi,
  noGateways,
  routingOfGateway,
} from "./gateways.ts";
export { compareClusters, type Difference } from "./diff/diff.ts";
export type { Change } from "./diff/meaning.ts";
export type { RowChanges } from "./diff/rows.ts";
