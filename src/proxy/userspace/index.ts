export { createUserspaceBackend } from "./backend.ts";
