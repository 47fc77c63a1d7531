export { createUserspaceBackend } from "./backend.ts";
export { warnOfFileLimit } from "./file-limit.ts";
