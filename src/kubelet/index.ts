export { type KubeletOptions, startKubelet } from "./kubelet.ts";
export { createLoopbackNetwork } from "./network/loopback.ts";
export type { Attachment, NodeRoute, PodNetwork } from "./network/network.ts";
export { type DnsSettings, parseResolvConf } from "./pods/dns.ts";
export { builtInImages } from "./runtime/built-in-images.ts";
export type { ImageMap } from "./runtime/images.ts";
export { type Isolation, noIsolation } from "./runtime/isolation.ts";
export { createProcessRuntime, type ProcessRuntimeOptions, stopProcessRuntime } from "./runtime/process.ts";
export * from "./runtime/runtime.ts";
