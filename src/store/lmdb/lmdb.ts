import { mkdirSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { checkOperations } from "../keys.ts";
import { getAt, listAt, readableRevision, type Revision } from "../ledger.ts";
import { planWrite } from "../plan.ts";
import { StoreError, type Compare, type KeyValue, type Operation, type Store, type WriteResult } from "../store.ts";
import { createBell, watchLedger } from "../watch.ts";
import { createCommitter } from "./committer.ts";
import { createLmdbLedger } from "./ledger.ts";
import { lockDirectory } from "./lock.ts";
import { openLoggedTables } from "./logged-tables.ts";

export interface LmdbStoreOptions {
  /** Directory of the store; made when it is missing. */
  readonly path: string;
  /** Closes the store when it aborts. */
  readonly signal?: AbortSignal;
  /** For tests only: acknowledge writes before they are on disk. A machine that stops loses them. Default false. */
  readonly noFsync?: boolean;
  /** Where a store that is made counts from: after all that its clients may have seen of another. Default 1. */
  readonly firstRevision?: number;
}

/** Items that one turn of the event loop reads. */
const listChunk = 1000;
/** Revisions that one transaction forgets: writers wait no longer than that takes. */
const compactionBatch = 200;

/**
 * The embedded store: one directory, one process. A write is acknowledged when it has been synced to disk; writes that
 * come together share one sync. Throws StoreError: UNAVAILABLE when the directory cannot be used or another process has it,
 * CORRUPT when what is in it is damaged or of another format.
 */
export async function openLmdbStore({
  path,
  signal,
  noFsync = false,
  firstRevision = 1,
}: LmdbStoreOptions): Promise<Store> {
  const release = takeDirectory(path);
  const logged = unlessItFails(() => openLoggedTables(path, { noFsync, firstRevision }), release);
  const ledger = createLmdbLedger(logged.tables);
  const bell = createBell();
  /** Newest revision as the write under way has it. */
  let head = 0;
  const committer = createCommitter(logged, path, () => {
    head = ledger.head();
  });
  let closing: Promise<void> | undefined;

  const check = () => {
    if (closing) throw new StoreError("CLOSED", "the store is closed");
  };

  function apply(
    compare: readonly Compare[],
    operations: readonly Operation[],
  ): { result: WriteResult; entry?: Revision } {
    const plan = planWrite(compare, operations, (key) => ledger.newest(key));
    if (!plan.ok) return { result: { ok: false, revision: head, current: plan.current } };
    if (plan.changes.length === 0) return { result: { ok: true, revision: head } };
    const entry = ledger.append(head + 1, plan.changes);
    head += 1;
    return { result: { ok: true, revision: head }, entry };
  }

  async function close(): Promise<void> {
    bell.close();
    await committer.close();
    await logged.close();
    release();
  }

  const store: Store = {
    shared: false,
    expires: false,
    async get(key, options = {}) {
      check();
      const revision = readableRevision(ledger, options.revision);
      return { item: getAt(ledger, key, revision), revision };
    },
    async list(prefix, options = {}) {
      check();
      const revision = readableRevision(ledger, options.revision);
      const limit = options.limit || Infinity;
      const items: KeyValue[] = [];
      for (let after = options.after ?? ""; ; await nextTurn()) {
        check();
        readableRevision(ledger, revision);
        const chunk = listAt(ledger, prefix, { after, limit: Math.min(listChunk, limit - items.length) }, revision);
        items.push(...chunk.items);
        if (!chunk.more || items.length >= limit) return { ...chunk, items };
        after = chunk.items.at(-1)?.key ?? after;
      }
    },
    async write(compare, operations) {
      check();
      checkOperations(operations);
      const bytes = operations.reduce((sum, op) => sum + (op.type === "put" ? op.value.byteLength : 0), 0);
      const { result } = await committer.commit(bytes, {
        work: () => apply(compare, operations),
        done({ entry }) {
          if (entry) ledger.remember(entry);
          bell.ring();
        },
      });
      return result;
    },
    watch(prefix, options = {}) {
      check();
      return watchLedger(ledger, bell, prefix, options);
    },
    async compact(revision) {
      check();
      if (revision > ledger.head()) throw new StoreError("FUTURE_REVISION", `revision ${revision} is not there yet`);
      if (revision > ledger.compacted()) await committer.commit(0, { work: () => ledger.setCompacted(revision) });
      while (await committer.commit(0, { work: () => ledger.forget(revision, compactionBatch) })) check();
    },
    async revision() {
      check();
      return ledger.head();
    },
    async compacted() {
      check();
      return ledger.compacted();
    },
    close: () => (closing ??= close()),
  };
  if (signal?.aborted) await store.close();
  signal?.addEventListener("abort", () => void store.close(), { once: true });
  return store;
}

function takeDirectory(path: string): () => void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return lockDirectory(path);
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError("UNAVAILABLE", `the directory ${path} cannot be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function unlessItFails<T>(action: () => T, undo: () => void): T {
  try {
    return action();
  } catch (error) {
    undo();
    throw error;
  }
}
