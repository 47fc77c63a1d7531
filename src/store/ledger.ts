import { compareKeys } from "./keys.ts";
import { StoreError, type KeyValue, type ListOptions, type ListResult, type StoreEvent } from "./store.ts";

/** All events of one revision. */
export interface Revision {
  readonly revision: number;
  readonly events: readonly StoreEvent[];
}

/** One key that a revision changed, without reading the values. */
export interface Touch {
  readonly key: string;
  /** Reads what was there before. */
  previous(): KeyValue | undefined;
}

/**
 * What a store keeps: the newest values, and a log of what each revision changed. All calls are synchronous, so between two
 * awaits they show one state. Reads and watches are built on this once, for every store that has it.
 */
export interface Ledger {
  /** The newest revision. */
  head(): number;
  /** Revisions before this one have been forgotten. */
  compacted(): number;
  newest(key: string): KeyValue | undefined;
  /** Newest values of the keys that begin with `prefix` and come after `after`, in order. */
  scan(prefix: string, after: string): Iterable<KeyValue>;
  /** How many keys `scan` would give. */
  count(prefix: string, after: string): number;
  /** Revisions from `from` on, in order. */
  revisions(from: number): Iterable<Revision>;
  /** Keys that the revisions from `from` on changed, oldest first. */
  touched(from: number): Iterable<Touch>;
}

/** Turns a requested revision (0 or absent: the newest) into one that can be read. Throws COMPACTED or FUTURE_REVISION. */
export function readableRevision(ledger: Ledger, requested = 0): number {
  const head = ledger.head();
  if (requested === 0) return head;
  if (requested > head)
    throw new StoreError("FUTURE_REVISION", `revision ${requested} is not there yet: ${head} is the newest`);
  if (requested < ledger.compacted()) throw compactedError(requested, ledger.compacted());
  return requested;
}

export function compactedError(requested: number, compacted: number): StoreError {
  return new StoreError("COMPACTED", `revision ${requested} has been compacted: ${compacted} is the oldest`);
}

/** What `key` was at a readable revision. */
export function getAt(ledger: Ledger, key: string, revision: number): KeyValue | undefined {
  const item = ledger.newest(key);
  if (revision === ledger.head() || (item && item.modRevision <= revision)) return item;
  for (const touch of ledger.touched(revision + 1)) if (touch.key === key) return touch.previous();
  return undefined;
}

/** The list at a readable revision: the newest state with the changes since then undone. Costs what is read and what changed since. */
export function listAt(ledger: Ledger, prefix: string, options: ListOptions, revision: number): ListResult {
  const { after = "", limit = 0 } = options;
  const undone = changedSince(ledger, prefix, after, revision);
  const items: KeyValue[] = [];
  for (const item of merge(ledger.scan(prefix, after), undone)) {
    if (limit > 0 && items.length === limit) {
      const last = items.at(-1)?.key ?? after;
      return { items, revision, more: true, remaining: remainingAfter(ledger, prefix, last, undone) };
    }
    items.push(item);
  }
  return { items, revision, more: false, remaining: 0 };
}

interface Undo {
  readonly key: string;
  previous(): KeyValue | undefined;
}

/** Keys of the range that changed after `revision`, in key order, with what each was at `revision`. */
function changedSince(ledger: Ledger, prefix: string, after: string, revision: number): readonly Undo[] {
  if (revision === ledger.head()) return [];
  const first = new Map<string, Undo>();
  for (const touch of ledger.touched(revision + 1)) {
    const { key } = touch;
    if (key.startsWith(prefix) && compareKeys(key, after) > 0 && !first.has(key)) first.set(key, touch);
  }
  return [...first.values()].sort((a, b) => compareKeys(a.key, b.key));
}

function* merge(newest: Iterable<KeyValue>, undone: readonly Undo[]): Iterable<KeyValue> {
  let next = 0;
  for (const item of newest) {
    let replaced = false;
    for (; ; next++) {
      const undo = undone[next];
      const order = undo ? compareKeys(undo.key, item.key) : 1;
      if (!undo || order > 0) break;
      replaced ||= order === 0;
      const before = undo.previous();
      if (before) yield before;
    }
    if (!replaced) yield item;
  }
  for (const undo of undone.slice(next)) {
    const before = undo.previous();
    if (before) yield before;
  }
}

function remainingAfter(ledger: Ledger, prefix: string, after: string, undone: readonly Undo[]): number {
  let count = ledger.count(prefix, after);
  for (const undo of undone) {
    if (compareKeys(undo.key, after) <= 0) continue;
    count += (undo.previous() ? 1 : 0) - (ledger.newest(undo.key) ? 1 : 0);
  }
  return count;
}
