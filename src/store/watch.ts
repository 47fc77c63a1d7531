import { setImmediate as nextTurn } from "node:timers/promises";
import { compactedError, type Ledger } from "./ledger.ts";
import { StoreError, type StoreEvent, type WatchBatch, type WatchOptions } from "./store.ts";

/** Events and revisions that one batch holds at most, unless one revision alone has more. */
const batchEvents = 500;
const batchRevisions = 2000;

/** Tells waiting watchers that there is something new. */
export interface Bell {
  /** Wakes all who wait. */
  ring(): void;
  /** Wakes all who wait, now and in future. */
  close(): void;
  readonly closed: boolean;
  /** Settles at the next ring, or when the signal aborts. */
  heard(signal: AbortSignal | undefined): Promise<void>;
}

export function createBell(): Bell {
  const waiting = new Set<() => void>();
  let closed = false;
  const ring = () => {
    const woken = [...waiting];
    waiting.clear();
    for (const wake of woken) wake();
  };
  return {
    ring,
    close() {
      closed = true;
      ring();
    },
    get closed() {
      return closed;
    },
    heard(signal) {
      return new Promise((resolve) => {
        const wake = () => {
          waiting.delete(wake);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        if (closed || signal?.aborted) return resolve();
        waiting.add(wake);
        signal?.addEventListener("abort", wake, { once: true });
      });
    },
  };
}

/**
 * A watch is a place in the log: it reads on from there when there is more. So the past and the present come the same way, a
 * watcher that does not read costs nothing, and the one that is still reading when its place is compacted gets SLOW_WATCHER.
 */
export function watchLedger(
  ledger: Ledger,
  bell: Bell,
  prefix: string,
  { fromRevision, signal }: WatchOptions,
): AsyncIterable<WatchBatch> {
  const start = fromRevision ?? ledger.head() + 1;
  const reader = read();
  return { [Symbol.asyncIterator]: () => reader };

  async function* read(): AsyncGenerator<WatchBatch, undefined> {
    let place = start;
    if (bell.closed || signal?.aborted) return undefined;
    if (place > ledger.head() + 1) {
      throw new StoreError("FUTURE_REVISION", `revision ${place} is not there yet: ${ledger.head()} is the newest`);
    }
    if (place < ledger.compacted() && fromRevision !== undefined) throw compactedError(place, ledger.compacted());
    while (!bell.closed && !signal?.aborted) {
      if (place > ledger.head()) {
        await bell.heard(signal);
        continue;
      }
      if (place < ledger.compacted()) {
        throw new StoreError(
          "SLOW_WATCHER",
          `the watch of ${prefix} fell behind: its place ${place} has been compacted`,
        );
      }
      const batch = readBatch(ledger, prefix, place);
      place = batch.revision + 1;
      yield batch;
      // A long catch-up must not hold the thread.
      if (place <= ledger.head()) await nextTurn();
    }
    return undefined;
  }
}

function readBatch(ledger: Ledger, prefix: string, from: number): WatchBatch {
  const events: StoreEvent[] = [];
  let revision = from - 1;
  for (const entry of ledger.revisions(from)) {
    for (const event of entry.events) if (event.key.startsWith(prefix)) events.push(event);
    revision = entry.revision;
    if (events.length >= batchEvents || revision - from >= batchRevisions) break;
  }
  return { events, revision };
}
