export { startCustomResources, type CustomResources, type CustomResourcesOptions } from "./controller.ts";
export { gatewayApi, installDefaults } from "./default-definitions.ts";
