export { startLoadBalancer, startAddressController, cleanupFinalizer } from "./load-balancer.ts";
export type { LoadBalancerOptions, AddressControllerOptions } from "./load-balancer.ts";
export { PoolError } from "./pools.ts";
export { addressAnnotations } from "./request.ts";
export { assignedCondition } from "./status.ts";
export * from "./provider.ts";
