export * from "./egress.ts";
export { createNetworkEgress, type NetworkEgressOptions } from "./network-egress.ts";
export { createServiceResolver, hasSlices, type Endpoint, type ResolveService } from "./resolve.ts";
export { webhookTarget } from "./webhook-target.ts";
