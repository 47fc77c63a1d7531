export { startLbController, type LbController, type LbControllerOptions } from "./controller.ts";
export { isRancherIngress } from "./read.ts";
