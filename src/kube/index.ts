export type * from "./generated/types.ts";
export * from "./object.ts";
export * from "./resource.ts";
export * from "./status.ts";
export type { Definition } from "./definition.ts";
export * from "./field-error.ts";
export type * from "./strategy.ts";
