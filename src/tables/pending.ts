import type { Transaction } from "./program.ts";
import { rowId, sameValue, type Row } from "./row.ts";

/** What has to change in a program: the smallest set of removals and additions since the last `take`. */
export interface Pending {
  readonly size: number;
  /** Puts `after` in place of `before`; either may be absent. */
  replace(before: Row | undefined, after: Row | undefined): void;
  /** The changes so far, which are forgotten by it. */
  take(): Transaction;
  clear(): void;
}

export function createPending(): Pending {
  // Per row: what the program has and what it should have. Going back to what it has is no change at all.
  const changes = new Map<string, { readonly has: Row | undefined; readonly wants: Row | undefined }>();
  return {
    get size() {
      return changes.size;
    },
    replace(before, after) {
      const row = after ?? before;
      if (!row) return;
      const id = rowId(row);
      const change = changes.get(id);
      const has = change ? change.has : before;
      if (has && after ? sameValue(has, after) : has === after) changes.delete(id);
      else changes.set(id, { has, wants: after });
    },
    take() {
      const remove: Row[] = [];
      const add: Row[] = [];
      for (const { has, wants } of changes.values()) {
        if (has) remove.push(has);
        if (wants) add.push(wants);
      }
      changes.clear();
      return { reset: false, remove, add };
    },
    clear: () => changes.clear(),
  };
}
