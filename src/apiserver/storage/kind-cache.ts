import type { Resource } from "../../kube/index.ts";
import type { WatchFrame } from "../handler.ts";
import { Entry, entryMaker } from "./entry.ts";
import { createWatcher, type Watcher } from "./watcher.ts";

/** One change of one object, in the order of the store's revisions. */
export interface Change {
  readonly revision: number;
  readonly before: Entry | undefined;
  /** Absent when the object was deleted. */
  readonly after: Entry | undefined;
  /** The object as it last was, with the revision of this change: what a watcher gets as DELETED. Made once. */
  gone(): Entry;
  /** What was made of this change, by form: frames are made once for all watchers. */
  readonly forms: Map<string, WatchFrame>;
}

/** All objects of one kind, as of the storage's revision, and the recent past. */
export interface KindCache {
  readonly resource: Resource;
  readonly size: number;
  /** Revision of the newest change of this kind. */
  readonly changed: number;
  /** Changes after this revision are remembered. */
  readonly horizon: number;
  get(key: string): Entry | undefined;
  /** In order of their keys, a copy: those under `prefix`, after the key `after`. */
  under(prefix: string, after?: string): Entry[];
  /** Makes an entry of this kind from stored bytes. */
  make(key: string, revision: number, stored: Uint8Array): Entry;
  /**
   * Follows the changes after `from`. "expired" when the recent past does not reach back that far.
   */
  follow(from: number, selects: (entry: Entry) => boolean): Watcher | "expired";
  forget(watcher: Watcher): void;
  /** Ends all watchers: those who come back go on where they were. */
  endWatches(): void;
  /** For the feed alone: an object that was there before the feed began. */
  load(key: string, revision: number, stored: Uint8Array): void;
  /** For the feed alone: a change. */
  apply(key: string, revision: number, stored: Uint8Array | undefined): void;
  /** Drops everything and ends all watchers: the past from `revision` on is unknown. */
  reset(revision: number): void;
}

/** Changes remembered per kind, so that a client that lost its watch can go on where it was: between half of this and this. */
const windowSize = 4096;
/** Bytes that they may hold; a hundred changes are remembered whatever they hold. */
const windowBytes = 4 << 20;
const windowLeast = 100;
/** The newest changes keep their frames: watchers that are not slow have taken them by then. */
const framesKept = 128;

export function createKindCache(resource: Resource): KindCache {
  const make = entryMaker(resource);
  const entries = new Map<string, Entry>();
  /** Keys in order. */
  let order: string[] = [];
  let past: Change[] = [];
  let pastBytes = 0;
  /** Changes after this revision are all in `past`. */
  let horizon = 0;
  let changed = 0;
  const watchers = new Set<Watcher>();

  const remember = (change: Change): void => {
    past.push(change);
    pastBytes += sizeOf(change);
    past.at(-framesKept)?.forms.clear();
    const tooMuch = past.length >= windowSize || (pastBytes > windowBytes && past.length >= 2 * windowLeast);
    if (!tooMuch) return;
    // Half of it goes at once: that costs a copy now and then, and a ring nothing less.
    const dropped = past.length >> 1;
    horizon = past[dropped - 1]?.revision ?? horizon;
    past = past.slice(dropped);
    pastBytes = past.reduce((sum, one) => sum + sizeOf(one), 0);
  };

  return {
    resource,
    get size() {
      return entries.size;
    },
    get changed() {
      return changed;
    },
    get horizon() {
      return horizon;
    },
    get: (key) => entries.get(key),
    under(wanted, after) {
      const found: Entry[] = [];
      for (let i = firstAtLeast(order, after ?? wanted); i < order.length; i++) {
        const key = order[i] as string;
        if (!key.startsWith(wanted)) break;
        if (key !== after) found.push(entries.get(key) as Entry);
      }
      return found;
    },
    make,
    follow(from, selects) {
      if (from < horizon) return "expired";
      const watcher = createWatcher(selects);
      for (let i = firstAfter(past, from); i < past.length; i++) watcher.offer(past[i] as Change);
      watchers.add(watcher);
      return watcher;
    },
    forget(watcher) {
      watchers.delete(watcher);
      watcher.end();
    },
    endWatches() {
      for (const watcher of watchers) watcher.end();
      watchers.clear();
    },
    load(key, revision, stored) {
      if (!entries.has(key)) order.splice(firstAtLeast(order, key), 0, key);
      entries.set(key, make(key, revision, stored));
    },
    apply(key, revision, stored) {
      const before = entries.get(key);
      const after = stored ? make(key, revision, stored) : undefined;
      if (!before && !after) return;
      if (after) entries.set(key, after);
      else entries.delete(key);
      if (!before) order.splice(firstAtLeast(order, key), 0, key);
      else if (!after) order.splice(firstAtLeast(order, key), 1);
      changed = revision;
      const change = createChange(revision, before, after);
      remember(change);
      for (const watcher of watchers) watcher.offer(change);
    },
    reset(revision) {
      entries.clear();
      order = [];
      past = [];
      pastBytes = 0;
      horizon = revision;
      changed = revision;
      for (const watcher of watchers) watcher.end();
      watchers.clear();
    },
  };
}

function createChange(revision: number, before: Entry | undefined, after: Entry | undefined): Change {
  let gone: Entry | undefined;
  return {
    revision,
    before,
    after,
    forms: new Map(),
    gone() {
      gone ??= atRevision(before as Entry, revision);
      return gone;
    },
  };
}

/** Bytes that are held for a change: one version, the other is a neighbour's. */
function sizeOf({ before, after }: Change): number {
  return (after ?? before)?.bytes.length ?? 0;
}

/** The same object with the resource version of its deletion. */
export function atRevision(entry: Entry, revision: number): Entry {
  const object = {
    ...entry.object,
    metadata: { ...entry.object.metadata, resourceVersion: String(revision) },
  };
  return new Entry(entry.key, revision, Buffer.from(JSON.stringify(object)));
}

function firstAtLeast(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function firstAfter(changes: readonly Change[], revision: number): number {
  let low = 0;
  let high = changes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((changes[middle] as Change).revision <= revision) low = middle + 1;
    else high = middle;
  }
  return low;
}
