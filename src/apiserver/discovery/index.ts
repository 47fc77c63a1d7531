export { catalog } from "./catalog.ts";
export { answerPath, type HealthCheck } from "./paths.ts";
