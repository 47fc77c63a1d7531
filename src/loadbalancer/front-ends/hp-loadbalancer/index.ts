export { configMapsOfHp, startHpLoadBalancer, type HpLoadBalancerOptions } from "./controller.ts";
export type { HpBackend } from "./plan.ts";
