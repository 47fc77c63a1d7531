export * from "./deletion.ts";
export * from "./errors.ts";
export * from "./registry.ts";
