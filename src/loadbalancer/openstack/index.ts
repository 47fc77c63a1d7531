export { createProvider, openstackClass } from "./provider.ts";
