import type { Clock } from "../system/index.ts";

/**
 * What a controller has done and its cache does not show yet. While a key has open expectations its cache is known to
 * be old, and acting on it would create or delete too much (as client-go's ControllerExpectations).
 */
export interface Expectations {
  expectCreations(key: string, count: number): void;
  expectDeletions(key: string, uids: readonly string[]): void;
  /** One creation was seen, or has failed. */
  created(key: string): void;
  /** The deletion of that object was seen, or has failed. */
  deleted(key: string, uid: string): void;
  /** True when the cache shows all that was done, or is late beyond all measure. */
  satisfied(key: string): boolean;
  forget(key: string): void;
}

/** Milliseconds after which an open expectation counts no more: then the event was lost. */
const patience = 300_000;

export function createExpectations(clock: Clock): Expectations {
  const open = new Map<string, { creations: number; deletions: Set<string>; since: number }>();
  const entry = (key: string) => {
    const found = open.get(key) ?? { creations: 0, deletions: new Set<string>(), since: 0 };
    found.since = clock.now();
    open.set(key, found);
    return found;
  };
  return {
    expectCreations(key, count) {
      entry(key).creations += count;
    },
    expectDeletions(key, uids) {
      const { deletions } = entry(key);
      for (const uid of uids) deletions.add(uid);
    },
    created(key) {
      const found = open.get(key);
      if (found && found.creations > 0) found.creations--;
    },
    deleted: (key, uid) => void open.get(key)?.deletions.delete(uid),
    satisfied(key) {
      const found = open.get(key);
      if (!found) return true;
      const done = found.creations === 0 && found.deletions.size === 0;
      const late = clock.now() - found.since > patience;
      if (done || late) open.delete(key);
      return done || late;
    },
    forget: (key) => void open.delete(key),
  };
}
