export { anonymous, notFoundPath } from "./context.ts";
export type { KubeletAddress, KubeletClient } from "./pod-log.ts";
export { findReview } from "./reviews.ts";
export { findServed } from "./served.ts";
export { createResources, type ResourcesOptions } from "./resources.ts";
