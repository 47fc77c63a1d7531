import type { StoreReport } from "./lmdb/check.ts";
import type { LmdbStoreOptions } from "./lmdb/lmdb.ts";
import type { Snapshot } from "./backup/copy.ts";
import type { EtcdReport } from "./etcd/check.ts";
import type { EtcdStoreOptions } from "./etcd/etcd.ts";
import type { Store } from "./store.ts";

export * from "./store.ts";
export * from "./encryption/index.ts";
export { createMemoryStore } from "./memory/memory.ts";
export type { LmdbStoreOptions } from "./lmdb/lmdb.ts";
export type { StoreFinding, StoreReport } from "./lmdb/check.ts";

export { decodeBackup, encodeBackup, type Backup, type BackupHeader, type BackupItem } from "./backup/format.ts";
export { emptyStore, fillStore, snapshotOf, type FillOptions, type Snapshot } from "./backup/copy.ts";
export type { EtcdReport } from "./etcd/check.ts";
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

/** See `snapshotLmdb` in lmdb/snapshot.ts. */
export async function snapshotLmdb(path: string): Promise<Snapshot> {
  return (await import("./lmdb/snapshot.ts")).snapshotLmdb(path);
}

/** See `checkEtcd` in etcd/check.ts. */
export async function checkEtcd(options: EtcdStoreOptions): Promise<EtcdReport> {
  return (await import("./etcd/check.ts")).checkEtcd(options);
}
