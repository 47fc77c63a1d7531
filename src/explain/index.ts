export * from "./exposure.ts";
export { exposures, type ExposureOptions } from "./exposures.ts";
export { ExplainError } from "./error.ts";
export { createCluster, type Cluster, type ClusterFacts } from "./cluster.ts";
export { assumeObjects, type Assumed, type Assumption } from "./assume.ts";
export type * from "./packet/packet-trace.ts";
export { parseReference, parseTarget, type Reference, type Target } from "./packet/reference.ts";
export { tracePacket, type PacketQuestion } from "./packet/trace.ts";
export { at } from "./packet/client.ts";
