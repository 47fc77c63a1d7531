import type { StoreReport } from "./lmdb/check.ts";
import type { LmdbStoreOptions } from "./lmdb/lmdb.ts";
import type { EtcdStoreOptions } from "./etcd/etcd.ts";
import type { Store } from "./store.ts";

export * from "./store.ts";
export { createMemoryStore } from "./memory/memory.ts";
export type { LmdbStoreOptions } from "./lmdb/lmdb.ts";
export type { StoreFinding, StoreReport } from "./lmdb/check.ts";

export type { EtcdStoreOptions } from "./etcd/etcd.ts";

// LMDB's native code is loaded by those only who use it: most of the program needs no more of this room than its types.

/** See `openLmdbStore` in lmdb/lmdb.ts. */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<Store> {
  return (await import("./lmdb/lmdb.ts")).openLmdbStore(options);
}

/** See `checkStore` in lmdb/check.ts. */
export async function checkStore(path: string): Promise<StoreReport> {
  return (await import("./lmdb/check.ts")).checkStore(path);
}

/** See `openEtcdStore` in etcd/etcd.ts. */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  return (await import("./etcd/etcd.ts")).openEtcdStore(options);
}
