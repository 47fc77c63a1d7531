export { readVips, type Vip, type VipFault } from "./config-map.ts";
export { startKeepalivedVip, statusAnnotation, type KeepalivedVipOptions } from "./controller.ts";
export { startVipNode, type VipNode, type VipNodeOptions } from "./node.ts";
