export type * from "./dataplane.ts";
export { featuresOf, refusalsOf } from "./features.ts";
export { createKeyPairs } from "./key-pairs.ts";
export { certificateNames, inspectAuthorities, inspectKeyPair } from "./certificate.ts";
export { startEmbedded, type EmbeddedOptions } from "./embedded/embedded.ts";
export { startEmbeddedWorkers, type WorkersOptions } from "./embedded/workers/workers.ts";
export { missingFor, startDataPlane, type DataPlaneName, type DataPlaneOptions } from "./choose.ts";
export {
  DataPlaneSwitchError,
  startSwitchable,
  type SwitchableDataPlane,
  type SwitchableOptions,
  type SwitchOptions,
} from "./switchable.ts";
export {
  askDataPlanes,
  serveDataPlaneControl,
  type ControlledPart,
  type ControlledPlane,
  type DataPlaneStatus,
} from "./control.ts";
export { startNginx, type NginxOptions } from "./nginx/nginx.ts";
export { defaultLimits, type Limits } from "./embedded/limits.ts";
export { startHaproxy, type HaproxyOptions } from "./haproxy/haproxy.ts";
export { startIngress, controllerName, nginxControllerName, type Ingress, type IngressOptions } from "./ingress.ts";
export { gatewayControllerName } from "./gateway/controller-name.ts";
export { startGateway, type GatewayController, type GatewayOptions } from "./gateway/controller.ts";
export { startAcme, type Acme, type AcmeOptions } from "./acme/index.ts";
export type { Tracing } from "./tracing/tracing.ts";
export { createSpanExporter, type SpanExporter } from "./tracing/exporter.ts";
export { createPost, type Receiver } from "./tracing/post.ts";
export { type Attribute, textAttribute } from "./tracing/span.ts";
export { publishedAddresses } from "./ingress-status.ts";
