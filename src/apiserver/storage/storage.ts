import { resources, statusError, type Resource } from "../../kube/index.ts";
import {
  StoreError,
  type Compare,
  type KeyValue,
  type Operation,
  type Store,
  type StoreEvent,
  type WriteResult,
} from "../../store/index.ts";
import type { Clock, Component, Logger } from "../../system/index.ts";
import { prefixFor, root } from "./entry.ts";
import { createKindCache, type KindCache } from "./kind-cache.ts";

/** Everything that is stored, in memory, fed by one watch of the store; and the way to write. */
export interface Storage extends Component {
  /** The cache of a kind that was named at the start or added since. Throws StatusError NotFound for any other. */
  of(resource: Resource): KindCache;
  /** Begins to hold a kind, whatever its version. Settles when its objects are there; false: the storage has ended before. */
  add(resource: Resource): Promise<boolean>;
  /** Holds a kind no longer, and ends its watches. */
  remove(resource: Resource): void;
  /** All caches hold the state of this revision; 0 before they were filled. */
  readonly revision: number;
  /** The store tells of every change: false before the caches were filled, and while the watch is broken. */
  readonly following: boolean;
  /** Settles when the caches hold the state of `revision`: true; or false when they don't within `patience` milliseconds, or never will. */
  reached(revision: number, patience?: number): Promise<boolean>;
  /**
   * Settles when the caches hold all that was written before the call, by any process: what is read then is no older. Throws StoreError
   * UNAVAILABLE when the store cannot say what that is, or does not tell of it.
   */
  caughtUp(): Promise<void>;
  /** Settles when the caches hold all that this process has written. */
  caughtUpOwn(): Promise<void>;
  write(compare: readonly Compare[], operations: readonly Operation[]): Promise<WriteResult>;
}

export interface StorageOptions {
  readonly store: Store;
  readonly kinds: readonly Resource[];
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A kind that is being read. */
interface Joining {
  readonly changes: StoreEvent[];
  done: Promise<boolean>;
}

/** The name of a kind in the keys of its objects. */
function nameOf({ group, plural }: Resource): string {
  return `${group || "core"}/${plural}`;
}

/** Seconds that an Event lives, as in Kubernetes. */
export const eventLife = 3600;
const events = prefixFor(resources.Event);

/** Events end by themselves where the store can do that. */
function withLifetime(operation: Operation): Operation {
  if (operation.type !== "put" || !operation.key.startsWith(events)) return operation;
  return { ...operation, lifetime: eventLife };
}

/** Milliseconds that a read waits for changes of other processes that the store knows of. */
const watchPatience = 3000;
/** Revisions before the newest whose changes the caches know when they are filled. */
const replayed = 1000;
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
  for (const kind of kinds) caches.set(nameOf(kind), createKindCache(kind));
  /** Kinds that are being read, with the changes that came meanwhile. */
  const joining = new Map<string, Joining>();
  /** Counts how often everything was read: what was joining then begins anew. */
  let loads = 0;

  const kindOfKey = (key: string): string => {
    const afterGroup = key.indexOf("/", root.length);
    const afterPlural = key.indexOf("/", afterGroup + 1);
    return key.slice(root.length, afterPlural);
  };
  const apply = (event: StoreEvent): void => {
    const kind = kindOfKey(event.key);
    const cache = caches.get(kind);
    if (cache) cache.apply(event.key, event.revision, event.value);
    else joining.get(kind)?.changes.push(event);
  };

  const advance = (to: number): void => {
    if (to <= revision) return;
    revision = to;
    for (const waiter of waiting) {
      if (waiter.revision > to) continue;
      waiting.delete(waiter);
      waiter.settle(true);
    }
  };

  /** All that is under `prefix`, as of one revision; absent: the newest. */
  const read = async (prefix: string, revisionThen = 0): Promise<{ items: KeyValue[]; at: number }> => {
    const items: KeyValue[] = [];
    let at = revisionThen;
    for (;;) {
      const after = items.at(-1)?.key;
      const result = await store.list(prefix, {
        limit: page,
        ...(at ? { revision: at } : {}),
        ...(after === undefined ? {} : { after }),
      });
      at ||= result.revision;
      items.push(...result.items);
      if (!result.more) return { items, at };
    }
  };

  /** The state of a while ago, and what changed since. */
  const readPast = async (): Promise<{ items: KeyValue[]; at: number; changes: StoreEvent[]; until: number }> => {
    const newest = await store.revision();
    const from = Math.max(await store.compacted(), newest - replayed);
    const { items, at } = await read(root, from);
    const changes: StoreEvent[] = [];
    if (at >= newest) return { items, at, changes, until: at };
    for await (const batch of store.watch(root, { fromRevision: at + 1, signal, previous: false })) {
      changes.push(...batch.events);
      if (batch.revision >= newest) return { items, at, changes, until: batch.revision };
    }
    throw new StoreError("CLOSED", "the store was closed");
  };

  /**
   * Fills the caches with the state of one revision, all at once: nobody sees half of it. They know of the changes before it, so that
   * clients of a server that was started anew, or of another one, go on with their watches.
   */
  const load = async (): Promise<void> => {
    const { items, at, changes, until } = await readPast().catch(async (error: unknown) => {
      // Compacted meanwhile.
      if (!(error instanceof StoreError && (error.code === "COMPACTED" || error.code === "SLOW_WATCHER"))) throw error;
      const now = await read(root);
      return { ...now, changes: [], until: now.at };
    });
    loads += 1;
    for (const cache of caches.values()) cache.reset(at);
    for (const item of items) caches.get(kindOfKey(item.key))?.load(item.key, item.modRevision, item.value);
    for (const change of changes) apply(change);
    advance(until);
  };

  /** Reads the objects of a kind while the feed goes on; false when it was removed meanwhile. */
  const join = async (kind: Resource, mine: Joining): Promise<boolean> => {
    const name = nameOf(kind);
    while (!over && joining.get(name) === mine) {
      const begun = loads;
      mine.changes.length = 0;
      const { items, at } = await read(prefixFor(kind));
      // Changes that came before the objects were read are in them; those that came after are in `changes`, all of them by then.
      if (!(await reached(at)) || joining.get(name) !== mine) break;
      if (begun !== loads) continue;
      const cache = createKindCache(kind);
      cache.reset(at);
      for (const item of items) cache.load(item.key, item.modRevision, item.value);
      for (const { key, revision: changed, value } of mine.changes) if (changed > at) cache.apply(key, changed, value);
      joining.delete(name);
      caches.set(name, cache);
      return true;
    }
    return false;
  };

  const follow = async (): Promise<void> => {
    for await (const batch of store.watch(root, { fromRevision: revision + 1, signal, previous: false })) {
      for (const event of batch.events) apply(event);
      advance(batch.revision);
    }
  };

  let opened: () => void;
  let refused: (error: StoreError) => void;
  const ready = new Promise<void>((resolve, reject) => {
    opened = resolve;
    refused = reject;
  });
  ready.catch(() => {});
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
        // What is damaged stays so: a server that has not begun is not to begin.
        if (error instanceof StoreError && error.code === "CORRUPT" && loads === 0) {
          refused(error);
          break;
        }
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

  const caughtUpOwn = async (): Promise<void> => {
    if (written > revision) await reached(written);
  };

  /** Only the store knows what other processes have written: it is asked, and its watch brings that a moment later. */
  const caughtUpShared = async (): Promise<void> => {
    const newest = await store.revision();
    if (newest <= revision || (await reached(newest, watchPatience)) || over) return;
    throw new StoreError(
      "UNAVAILABLE",
      `the store is at revision ${newest}, but told of changes only until ${revision}`,
    );
  };

  return {
    name: "storage",
    ready,
    stopped: run(),
    of(resource) {
      const cache = caches.get(nameOf(resource));
      if (!cache) throw statusError("NotFound", "the server could not find the requested resource", {});
      return cache;
    },
    async add(resource) {
      const name = nameOf(resource);
      if (caches.has(name)) return true;
      const before = joining.get(name);
      if (before) return before.done;
      const mine: Joining = { changes: [], done: Promise.resolve(false) };
      joining.set(name, mine);
      mine.done = join(resource, mine).finally(() => {
        if (joining.get(name) === mine) joining.delete(name);
      });
      return mine.done;
    },
    remove(resource) {
      const name = nameOf(resource);
      joining.delete(name);
      caches.get(name)?.reset(revision);
      caches.delete(name);
    },
    get revision() {
      return revision;
    },
    get following() {
      return following;
    },
    reached,
    caughtUp: store.shared ? caughtUpShared : caughtUpOwn,
    caughtUpOwn,
    async write(compare, operations) {
      const result = await store.write(compare, store.expires ? operations.map(withLifetime) : operations);
      if (result.ok) written = Math.max(written, result.revision);
      return result;
    },
  };
}
