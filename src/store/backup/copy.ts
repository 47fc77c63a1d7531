import { StoreError, type Operation, type Store } from "../store.ts";
import type { BackupItem } from "./format.ts";

/** One state of a store. */
export interface Snapshot {
  readonly revision: number;
  /** In order of their keys. */
  readonly items: AsyncIterable<BackupItem> | Iterable<BackupItem>;
  close(): Promise<void>;
}

/** Items that are read at once. */
const page = 500;
/** What one write holds at most: a store takes 128 operations, and etcd 1.5 MiB. */
const batch = { operations: 100, bytes: 1 << 20 };

/** The state of now, page by page: it stays one state, as long as the store is not compacted beyond it meanwhile. */
export async function snapshotOf(store: Store): Promise<Snapshot> {
  const revision = await store.revision();
  return { revision, items: items(), close: () => store.close() };

  async function* items(): AsyncGenerator<BackupItem> {
    let after = "";
    for (;;) {
      const result = await store.list("", { revision, limit: page, after });
      yield* result.items;
      if (!result.more) return;
      after = result.items.at(-1)?.key ?? after;
    }
  }
}

export interface FillOptions {
  /** Seconds that a key lives where the store can end it; undefined: for ever. */
  readonly lifetimeOf?: (key: string) => number | undefined;
  /** Told how many items are written, now and then. */
  readonly progress?: (items: number) => void;
}

/** Writes items into a store, several at a time. Throws StoreError UNAVAILABLE when one is there already. Returns how many. */
export async function fillStore(
  store: Store,
  items: AsyncIterable<BackupItem> | Iterable<BackupItem>,
  { lifetimeOf = () => undefined, progress = () => {} }: FillOptions = {},
): Promise<number> {
  let operations: Operation[] = [];
  let bytes = 0;
  let count = 0;
  const flush = async (): Promise<void> => {
    if (operations.length === 0) return;
    const result = await store.write(
      operations.map(({ key }) => ({ key, modRevision: 0 })),
      operations,
    );
    if (!result.ok) {
      const [there = ""] = result.current.keys();
      throw new StoreError("UNAVAILABLE", `${there} is in the store already: somebody else writes to it`);
    }
    count += operations.length;
    progress(count);
    operations = [];
    bytes = 0;
  };
  for await (const { key, value } of items) {
    if (operations.length === batch.operations || bytes + value.length > batch.bytes) await flush();
    const lifetime = lifetimeOf(key);
    operations.push({ type: "put", key, value, ...(lifetime === undefined ? {} : { lifetime }) });
    bytes += key.length + value.length;
  }
  await flush();
  return count;
}

/** Removes every key. Returns how many there were. */
export async function emptyStore(store: Store): Promise<number> {
  let count = 0;
  for (;;) {
    const { items } = await store.list("", { limit: batch.operations });
    if (items.length === 0) return count;
    await store.write(
      [],
      items.map(({ key }) => ({ type: "delete", key })),
    );
    count += items.length;
  }
}
