export type * from "./dataplane.ts";
export { featuresOf, refusalsOf } from "./features.ts";
export { inspectKeyPair } from "./certificate.ts";
export { startEmbedded, type EmbeddedOptions } from "./embedded/embedded.ts";
export { defaultLimits, type Limits } from "./embedded/limits.ts";
export { startIngress, controllerName, type Ingress, type IngressOptions } from "./ingress.ts";
export { gatewayControllerName } from "./gateway/controller-name.ts";
export { startGateway, type GatewayController, type GatewayOptions } from "./gateway/controller.ts";
export { publishedAddresses } from "./ingress-status.ts";
