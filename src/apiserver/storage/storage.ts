import type { Resource } from "../../kube/index.ts";
import {
  StoreError,
  type Compare,
  type KeyValue,
  type Operation,
  type Store,
  type WriteResult,
} from "../../store/index.ts";
import type { Clock, Component, Logger } from "../../system/index.ts";
import { root } from "./entry.ts";
import { createKindCache, type KindCache } from "./kind-cache.ts";

/** Everything that is stored, in memory, fed by one watch of the store; and the way to write. */
export interface Storage extends Component {
  /** The cache of a kind that was named at the start. */
  of(resource: Resource): KindCache;
  /** All caches hold the state of this revision; 0 before they were filled. */
  readonly revision: number;
  /** The store tells of every change: false before the caches were filled, and while the watch is broken. */
  readonly following: boolean;
  /** Settles when the caches hold the state of `revision`: true; or false when they don't within `patience` milliseconds, or never will. */
  reached(revision: number, patience?: number): Promise<boolean>;
  /** Settles when the caches hold all that this process has written. */
  caughtUp(): Promise<void>;
  write(compare: readonly Compare[], operations: readonly Operation[]): Promise<WriteResult>;
}

export interface StorageOptions {
  readonly store: Store;
  readonly kinds: readonly Resource[];
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Objects read at once when the caches are filled. */
const page = 500;

export function startStorage({ store, kinds, signal, clock, log }: StorageOptions): Storage {
  let revision = 0;
  /** Newest revision that this process has written. */
  let written = 0;
  let over = false;
  let following = false;
  const waiting = new Set<{ revision: number; settle: (reached: boolean) => void }>();
  const caches = new Map<string, KindCache>();
  for (const kind of kinds)
    caches.set(
      `${kind.group || "core"}/${kind.plural}`,
      createKindCache(kind, () => revision),
    );

  const cacheOfKey = (key: string): KindCache | undefined => {
    const afterGroup = key.indexOf("/", root.length);
    const afterPlural = key.indexOf("/", afterGroup + 1);
    return caches.get(key.slice(root.length, afterPlural));
  };

  const advance = (to: number): void => {
    if (to <= revision) return;
    revision = to;
    for (const cache of caches.values()) cache.progress(to);
    for (const waiter of waiting) {
      if (waiter.revision > to) continue;
      waiting.delete(waiter);
      waiter.settle(true);
    }
  };

  /** Fills the caches with the state of one revision, all at once: nobody sees half of it. */
  const load = async (): Promise<void> => {
    const items: KeyValue[] = [];
    let at = 0;
    for (;;) {
      const after = items.at(-1)?.key;
      const result = await store.list(root, {
        limit: page,
        ...(at ? { revision: at } : {}),
        ...(after === undefined ? {} : { after }),
      });
      at ||= result.revision;
      items.push(...result.items);
      if (!result.more) break;
    }
    for (const cache of caches.values()) cache.reset(at);
    for (const item of items) cacheOfKey(item.key)?.load(item.key, item.modRevision, item.value);
    advance(at);
  };

  const follow = async (): Promise<void> => {
    for await (const batch of store.watch(root, { fromRevision: revision + 1, signal })) {
      for (const event of batch.events) cacheOfKey(event.key)?.apply(event.key, event.revision, event.value);
      advance(batch.revision);
    }
  };

  let opened: () => void;
  const ready = new Promise<void>((resolve) => {
    opened = resolve;
  });
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        if (!following) await load();
        following = true;
        opened();
        await follow();
      } catch (error) {
        if (signal.aborted) break;
        // A watch that was too slow goes on where it was; when that is forgotten, everything is read again.
        if (error instanceof StoreError && error.code === "CLOSED") break;
        if (!(error instanceof StoreError && error.code === "SLOW_WATCHER")) {
          following = false;
          log.error({ error: String(error) }, "the watch of the store broke: reading everything again");
          await clock.sleep(1000, signal).catch(() => {});
        }
      }
    }
    over = true;
    following = false;
    for (const waiter of waiting) waiter.settle(false);
    waiting.clear();
    for (const cache of caches.values()) cache.reset(revision);
  };

  const reached: Storage["reached"] = async (wanted, patience) => {
    if (wanted <= revision) return true;
    if (over) return false;
    let settle: (reached: boolean) => void = () => {};
    const promise = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    const waiter = { revision: wanted, settle };
    waiting.add(waiter);
    if (patience === undefined) return promise;
    const done = new AbortController();
    void clock.sleep(patience, done.signal).then(
      () => settle(false),
      () => {},
    );
    const result = await promise;
    done.abort();
    waiting.delete(waiter);
    return result;
  };

  return {
    name: "storage",
    ready,
    stopped: run(),
    of(resource) {
      const cache = caches.get(`${resource.group || "core"}/${resource.plural}`);
      if (!cache) throw new Error(`${resource.kind} is not stored`);
      return cache;
    },
    get revision() {
      return revision;
    },
    get following() {
      return following;
    },
    reached,
    async caughtUp() {
      if (written > revision) await reached(written);
    },
    async write(compare, operations) {
      const result = await store.write(compare, operations);
      if (result.ok) written = Math.max(written, result.revision);
      return result;
    },
  };
}
