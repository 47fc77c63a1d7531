export type { CatalogEntry, CatalogGroup, RemoteGroups, Subresource } from "./groups.ts";
export { createDiscovery, type Discovery, type HealthCheck } from "./paths.ts";
