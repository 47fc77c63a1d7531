import type { Clock } from "../system/index.ts";

/** How long changes took to come into force, over the last `window` of them. */
export interface Latency {
  /** Counts the time from `since` (milliseconds) until `done` resolves. */
  measure(since: number, done: Promise<void>, clock: Clock): void;
  readonly count: number;
  /** Milliseconds below which the share `q` (0 to 1) of the last changes took; undefined before the first. */
  quantile(q: number): number | undefined;
}

const window = 1_024;

export function createLatency(): Latency {
  const samples: number[] = [];
  let count = 0;
  return {
    measure(since, done, clock) {
      done.then(
        () => {
          samples[count % window] = clock.now() - since;
          count += 1;
        },
        // The proxy has stopped: there is nothing to count any more.
        () => {},
      );
    },
    get count() {
      return count;
    },
    quantile(q) {
      const sorted = [...samples].sort((a, b) => a - b);
      return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
    },
  };
}
