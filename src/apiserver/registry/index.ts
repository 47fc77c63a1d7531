export * from "./admission.ts";
export * from "./deletion.ts";
export * from "./errors.ts";
export * from "./own-context.ts";
export * from "./registry.ts";
