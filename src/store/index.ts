export * from "./store.ts";
export { createMemoryStore } from "./memory/memory.ts";
