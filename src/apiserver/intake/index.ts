export { createIntake, isLongRunning, type Intake } from "./intake.ts";
export { createLane, givingWay } from "./lane.ts";
export { requestTime } from "./deadline.ts";
