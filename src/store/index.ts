export * from "./store.ts";
export { createMemoryStore } from "./memory/memory.ts";
export { openLmdbStore, type LmdbStoreOptions } from "./lmdb/lmdb.ts";
export { checkStore, type StoreFinding, type StoreReport } from "./lmdb/check.ts";
