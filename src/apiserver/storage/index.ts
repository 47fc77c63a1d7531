export { decodeContinue } from "./continue-token.ts";
export * from "./entry.ts";
export * from "./forms.ts";
export * from "./kind-cache.ts";
export * from "./list.ts";
export * from "./storage.ts";
export * from "./versions.ts";
export * from "./watch.ts";
export { createBreather } from "./breather.ts";
