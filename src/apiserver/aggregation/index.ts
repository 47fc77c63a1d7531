export { createAggregation, type Aggregation, type AggregationOptions } from "./aggregation.ts";
export { frontProxyName } from "./authentication-config.ts";
