export * from "./clock.ts";
export * from "./command.ts";
export * from "./component.ts";
export { freePort } from "./free-port.ts";
export * from "./log.ts";
export { metricsType, createMetrics } from "./metrics.ts";
export type { Counter, Family, Gauge, Histogram, Metrics } from "./metrics.ts";
export { trust, type Trust } from "./trust.ts";
export { openRotatingFile, type RotatingFile } from "./rotating-file.ts";
