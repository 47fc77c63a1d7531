export { anonymous, notFoundPath } from "./context.ts";
export type { KubeletAddress, KubeletClient } from "./pod-log.ts";
export { createResources, type ResourcesOptions } from "./resources.ts";
