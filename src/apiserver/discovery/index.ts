export type { CatalogEntry, CatalogGroup, RemoteGroups, Subresource } from "./groups.ts";
export type { HealthCheck } from "./health.ts";
export { createDiscovery, type Discovery } from "./paths.ts";
export { documentFrom, type DocumentV2, type RemoteDocument } from "./merge-v2.ts";
export { tellOfVersion } from "./version.ts";
