import type { Compare, KeyValue, Operation } from "./store.ts";

/** What one operation changes, before it has a revision. */
export interface Change {
  readonly key: string;
  /** Absent: the key is deleted. */
  readonly value?: Uint8Array;
  readonly previous?: KeyValue;
}

export type Plan =
  | { readonly ok: true; readonly changes: readonly Change[] }
  | { readonly ok: false; readonly current: ReadonlyMap<string, KeyValue | undefined> };

/** Decides what a write does to the state that `newest` shows; it is asked once for each key. An empty list of changes needs no revision. */
export function planWrite(
  compare: readonly Compare[],
  operations: readonly Operation[],
  newest: (key: string) => KeyValue | undefined,
): Plan {
  const current = new Map<string, KeyValue | undefined>();
  const seen = new Map<string, KeyValue | undefined>();
  for (const { key, modRevision } of compare) {
    const item = newest(key);
    seen.set(key, item);
    if ((item?.modRevision ?? 0) !== modRevision) current.set(key, item);
  }
  if (current.size > 0) return { ok: false, current };
  const changes: Change[] = [];
  for (const operation of operations) {
    const { key } = operation;
    const previous = seen.has(key) ? seen.get(key) : newest(key);
    const before = previous ? { previous } : {};
    if (operation.type === "put") changes.push({ key, value: operation.value, ...before });
    else if (previous) changes.push({ key, previous });
  }
  return { ok: true, changes };
}
