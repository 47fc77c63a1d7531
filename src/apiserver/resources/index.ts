export { anonymous, notFoundPath } from "./context.ts";
export type { KubeletAddress, KubeletClient } from "./pod-log.ts";
export { findReview } from "./reviews.ts";
export { createCatalog, type Catalog } from "./catalog.ts";
export { allVerbs, type Served } from "./served.ts";
export { scalePathsOf, valueAt, type ScalePaths } from "./scale-paths.ts";
export { createProtobufForms } from "./protobuf-form.ts";
export { createResources, type ResourcesOptions } from "./resources.ts";
