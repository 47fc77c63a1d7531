import { setMaxListeners } from "node:events";
import type { Clock } from "../system/index.ts";
import { backOffOf } from "./back-off.ts";
import { createHeap } from "./heap.ts";

/** Counts since the start, for metrics. */
export interface WorkQueueStats {
  /** Keys that wait for a worker now. */
  readonly depth: number;
  readonly adds: number;
  readonly retries: number;
}

/** Told how long each key took, in seconds, for metrics. */
export interface WorkQueueTimes {
  /** A worker took a key that had waited so long. */
  waited(seconds: number): void;
  /** The work on a key has ended, after so long. */
  worked(seconds: number): void;
}

/**
 * Keys that wait to be worked on: each once, in the order they came, and none while a worker has it.
 * The contract is that of client-go's rate limiting work queue.
 */
export interface WorkQueue {
  add(key: string): void;
  /** Adds `key` in `ms` milliseconds; of several wishes for one key the earliest counts. */
  addAfter(key: string, ms: number): void;
  /** Adds `key` after a delay that doubles with each call, from 5 ms to a minute, until `forget`. Returns the delay. */
  retry(key: string): number;
  forget(key: string): void;
  /** The next key; undefined when the signal has aborted. Call `done` when its work has ended. */
  take(): Promise<string | undefined>;
  done(key: string): void;
  stats(): WorkQueueStats;
  /** Work that was begun and has not ended: seconds of all of it together, and of what has gone on the longest. */
  unfinished(): { readonly all: number; readonly longest: number };
}

const retryDelay = { first: 5, most: 60_000 };

export function createWorkQueue(options: { clock: Clock; signal: AbortSignal; times?: WorkQueueTimes }): WorkQueue {
  const { clock, signal, times } = options;
  /** Keys that wait, and since when, in milliseconds of `performance.now()`. */
  const ready = new Map<string, number>();
  /** Keys that are worked on, and since when. */
  const running = new Map<string, number>();
  /** Keys that came again while they were worked on. */
  const again = new Set<string>();
  const delayed = new Map<string, number>();
  /** The delayed keys by their time. One that was asked for earlier meanwhile is in it twice: the time in `delayed` counts. */
  const due = createHeap<{ readonly key: string; readonly at: number }>((a, b) => a.at < b.at);
  const failures = new Map<string, number>();
  const takers: ((key: string | undefined) => void)[] = [];
  let timer: { at: number; stop: AbortController } | undefined;
  let adds = 0;
  let retries = 0;

  const give = (): void => {
    while (takers.length > 0) {
      const [first] = ready;
      if (first === undefined) return;
      const [key, since] = first;
      const now = performance.now();
      ready.delete(key);
      running.set(key, now);
      times?.waited((now - since) / 1000);
      takers.shift()?.(key);
    }
  };
  const wait = (key: string): void => {
    if (!ready.has(key)) ready.set(key, performance.now());
    give();
  };

  const add = (key: string): void => {
    if (signal.aborted) return;
    adds++;
    if (running.has(key)) again.add(key);
    else wait(key);
  };

  /** One sleeper, for the earliest of the delayed keys. */
  const arm = (): void => {
    const at = due.peek()?.at;
    if (at === undefined || signal.aborted || (timer && timer.at <= at)) return;
    timer?.stop.abort();
    const stop = new AbortController();
    timer = { at, stop };
    clock.sleep(Math.max(0, at - clock.now()), stop.signal).then(
      () => {
        timer = undefined;
        const now = Math.max(at, clock.now());
        for (let first = due.peek(); first && first.at <= now; first = due.peek()) {
          due.pop();
          if (delayed.get(first.key) !== first.at) continue;
          delayed.delete(first.key);
          add(first.key);
        }
        arm();
      },
      () => {},
    );
  };

  const addAfter = (key: string, ms: number): void => {
    if (ms <= 0) return add(key);
    const at = clock.now() + ms;
    if ((delayed.get(key) ?? Infinity) <= at) return;
    delayed.set(key, at);
    due.push({ key, at });
    arm();
  };

  // One signal stops many parts: that is no leak.
  setMaxListeners(0, signal);
  signal.addEventListener("abort", () => {
    timer?.stop.abort();
    delayed.clear();
    due.clear();
    ready.clear();
    for (const taker of takers.splice(0)) taker(undefined);
  });

  return {
    add,
    addAfter,
    retry(key) {
      const failed = (failures.get(key) ?? 0) + 1;
      failures.set(key, failed);
      retries++;
      const ms = backOffOf(failed, retryDelay);
      addAfter(key, ms);
      return ms;
    },
    forget: (key) => void failures.delete(key),
    take() {
      if (signal.aborted) return Promise.resolve(undefined);
      return new Promise((resolve) => {
        takers.push(resolve);
        give();
      });
    },
    done(key) {
      const since = running.get(key);
      if (since !== undefined) times?.worked((performance.now() - since) / 1000);
      running.delete(key);
      if (again.delete(key) && !signal.aborted) wait(key);
    },
    stats: () => ({ depth: ready.size, adds, retries }),
    unfinished() {
      const now = performance.now();
      let all = 0;
      let longest = 0;
      for (const since of running.values()) {
        all += (now - since) / 1000;
        longest = Math.max(longest, (now - since) / 1000);
      }
      return { all, longest };
    },
  };
}
