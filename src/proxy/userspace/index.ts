export { createUserspaceBackend } from "./backend.ts";
export { warnOfFileLimit } from "./file-limit.ts";
export { createResting, type Resting } from "./resting.ts";
