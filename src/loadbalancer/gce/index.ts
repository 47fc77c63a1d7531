export { createProvider, gceClass, gceProvider } from "./provider.ts";
