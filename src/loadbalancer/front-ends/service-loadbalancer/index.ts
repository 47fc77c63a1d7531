export { startServiceLoadBalancer, type ServiceLoadBalancer, type ServiceLoadBalancerOptions } from "./controller.ts";
export { balances } from "./settings.ts";
export type { ServiceRoutes, TcpService } from "./translate.ts";
