export { createIptablesBackend } from "./backend.ts";
export { removeIptablesProgram, whyNoIptables } from "./program.ts";
export { openTableSizes } from "./table-size.ts";
