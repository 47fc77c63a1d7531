export {
  assessIngresses,
  type Assessment,
  type IngressVerdict,
  type SettingVerdict,
  type Surprise,
  type Verdict,
} from "./assess.ts";
export { parseAccessLogLine, type LoggedRequest } from "./access-log.ts";
export { type ControllerReading, readController } from "./controller.ts";
export { createReplay, type Replay, type ReplayDifference, type ReplayOptions, type ReplayReport } from "./replay.ts";
export { gatewayObjects, type GatewayObjects, type GatewayTarget, type WritingNote } from "./gateway-objects.ts";
export { probeModels, type ProbeDifference, type ProbeReport } from "./probe.ts";
