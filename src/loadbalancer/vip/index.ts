export { startVipAgent, type VipAgent, type VipAgentOptions } from "./agent.ts";
export { place, priorityOf, surplus } from "./placement.ts";
export { stopVipDaemon } from "./stop.ts";
export { keepalivedConfig, VipConfigError } from "./config.ts";
export { planVips, type VipPlan, type VrrpInstance } from "./plan.ts";
