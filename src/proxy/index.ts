export { startProxy, type Proxy, type ProxyOptions } from "./proxy.ts";
export { removeProxy } from "./remove.ts";
export { ProxyModeError } from "./choose.ts";
export type { FrontendState, ProxyMode } from "./backend.ts";
export type { StatusPorts } from "./status-server.ts";
export type { Latency } from "./latency.ts";
