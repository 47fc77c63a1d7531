export { createDiscovery, type Discovery, type HealthCheck } from "./paths.ts";
