export { createIntake, isLongRunning, type Intake } from "./intake.ts";
export { requestTime } from "./deadline.ts";
