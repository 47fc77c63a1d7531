export * from "./client.ts";
export type * from "./informer.ts";
export type * from "./controller.ts";
