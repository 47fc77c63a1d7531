export type * from "./types.ts";
export { gatewayGroup, gatewayResources } from "./types.ts";
export {
  listenerName,
  translateGateways,
  type GatewayInput,
  type GatewayPort,
  type GatewayReport,
  type GatewayTranslation,
  type PolicyReport,
} from "./translate.ts";
export { gatewayStatus, listenerSetStatus, mergeEntries, sameParent, timed, type Confirmation } from "./status.ts";
export { observed } from "./conditions.ts";
export { createGatewayMemory, type GatewayMemory } from "./memory.ts";
export type { RouteReport } from "./route-table.ts";
