export { createIptablesBackend } from "./backend.ts";
export { removeIptablesProgram, whyNoIptables } from "./program.ts";
