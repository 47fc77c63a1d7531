export { createProvider, f5Class } from "./provider.ts";
