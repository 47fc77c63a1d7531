export { createProvider, rancherController, rancherProvider } from "./provider.ts";
