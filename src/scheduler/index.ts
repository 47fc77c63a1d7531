export { startScheduler, type SchedulerOptions } from "./scheduler.ts";
export { schedule, type Placement } from "./schedule.ts";
export type { Surroundings } from "./surroundings.ts";
export { hostPortsOf, portsConflict, type NodeInfo } from "./node-info.ts";
export { nodeAdmits } from "./node-affinity.ts";
export { priorityOf } from "./priority.ts";
export { allocatableOf, requestsOf } from "./resources.ts";
export { tolerates, tolerationCovers } from "./taints.ts";
export { claimNamesOf, waitsForConsumer } from "./volumes.ts";
export {
  bestVolumeFor,
  bindCompleted,
  boundByController,
  classOf,
  isBound,
  isKeptFor,
  mismatch,
  reaches,
  referenceToClaim,
  requestOf,
  selectedNode,
} from "./volume-match.ts";
export { keepVolume } from "./keep-volume.ts";
