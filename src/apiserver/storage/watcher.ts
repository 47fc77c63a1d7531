import type { Change } from "./kind-cache.ts";
import type { Entry } from "./entry.ts";

/** What a watcher sees: an object that came into, changed within or left what it selects. */
export interface Seen {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly entry: Entry;
  /** Keeps what is made of this change for all watchers; absent for the state a watch begins with. */
  readonly change?: Change;
}

export interface Watcher {
  /** Called in order for each change of the kind. */
  offer(change: Change): void;
  /** The next change seen or `undefined` when there is none at hand. */
  take(): Seen | undefined;
  /** Settles when `take` may give something, or the watcher has ended, or was nudged. */
  more(): Promise<void>;
  nudge(): void;
  /** Why no more will come: the watcher was too slow, or was ended. */
  readonly ended: "slow" | "closed" | undefined;
  end(): void;
}

/** Changes a watcher may be behind before it is closed; its client then lists again. */
const bufferLimit = 8192;

/**
 * A bounded queue between the cache and one client. An object that leaves the selection is DELETED for this watcher, one that
 * enters it ADDED (as etcd3's and the cacher's watches do).
 */
export function createWatcher(selects: (entry: Entry) => boolean): Watcher {
  let queue: Seen[] = [];
  let next = 0;
  let ended: Watcher["ended"];
  let wake: (() => void) | undefined;

  const notify = (): void => {
    wake?.();
    wake = undefined;
  };
  const end = (why: "slow" | "closed"): void => {
    ended ??= why;
    if (why === "slow") {
      queue = [];
      next = 0;
    }
    notify();
  };

  return {
    offer(change) {
      if (ended) return;
      const seen = seenBy(selects, change);
      if (!seen) return;
      if (queue.length - next >= bufferLimit) return end("slow");
      queue.push(seen);
      notify();
    },
    take() {
      const seen = queue[next];
      if (!seen) return undefined;
      next++;
      if (next === queue.length) {
        queue = [];
        next = 0;
      } else if (next >= 1024) {
        queue = queue.slice(next);
        next = 0;
      }
      return seen;
    },
    more() {
      if (next < queue.length || ended) return Promise.resolve();
      return new Promise((resolve) => {
        wake = resolve;
      });
    },
    nudge: notify,
    get ended() {
      return ended;
    },
    end: () => end("closed"),
  };
}

/** How a change looks to one who sees only what `selects` holds for. */
export function seenBy(selects: (entry: Entry) => boolean, change: Change): Seen | undefined {
  const before = change.before !== undefined && selects(change.before);
  const after = change.after !== undefined && selects(change.after);
  if (after && change.after) return { type: before ? "MODIFIED" : "ADDED", entry: change.after, change };
  if (before) return { type: "DELETED", entry: change.gone(), change };
  return undefined;
}
