import { StoreError } from "../store.ts";
import type { LoggedTables } from "./logged-tables.ts";

/** What one caller wants done in the next write of the tables. */
export interface Job<T> {
  /** Runs inside the write. What it throws before it writes fails this job alone. */
  work(): T;
  /** Runs when that is on disk, before the caller is answered, in the order of the jobs. */
  done?(result: T): void;
}

/** Group commit: jobs queue while a write is being synced to disk; the next one takes them together. */
export interface Committer {
  /** Resolves with the result of `work` when it is on disk. `bytes`: about how much it writes. */
  commit<T>(bytes: number, job: Job<T>): Promise<T>;
  /** Refuses what waits with CLOSED; settles when the write under way has ended. */
  close(): Promise<void>;
}

/** What one write takes at most, so that it holds the thread for a few milliseconds only. */
const batchJobs = 128;
const batchBytes = 4 << 20;

interface Waiting {
  readonly bytes: number;
  /** Does the work; returns what to call when it is on disk. */
  run(): () => void;
  reject(error: unknown): void;
}

/** `begin` is called within each write of the tables, before its jobs. */
export function createCommitter(tables: LoggedTables, path: string, begin: () => void = () => {}): Committer {
  let queue: Waiting[] = [];
  let running: Promise<void> | undefined;
  let closed = false;

  async function drain(): Promise<void> {
    // What is asked for in one turn of the event loop goes together.
    await Promise.resolve();
    while (queue.length > 0) await commitBatch(takeBatch());
    running = undefined;
  }

  function takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of queue) {
      bytes += waiting.bytes;
      if (count > 0 && (count === batchJobs || bytes > batchBytes)) break;
      count++;
    }
    return queue.splice(0, count);
  }

  async function commitBatch(batch: readonly Waiting[]): Promise<void> {
    const answers: (() => void)[] = [];
    try {
      await tables.write(() => {
        begin();
        for (const waiting of batch) answers.push(waiting.run());
      });
    } catch (error) {
      const failure = commitError(error, path);
      for (const waiting of batch) waiting.reject(failure);
      return;
    }
    for (const answer of answers) answer();
  }

  return {
    commit<T>(bytes: number, job: Job<T>): Promise<T> {
      if (closed) return Promise.reject(new StoreError("CLOSED", "the store is closed"));
      return new Promise<T>((resolve, reject) => {
        queue.push({
          bytes,
          reject,
          run() {
            try {
              const result = job.work();
              return () => {
                job.done?.(result);
                resolve(result);
              };
            } catch (error) {
              return () => reject(error);
            }
          },
        });
        running ??= drain();
      });
    },
    async close() {
      closed = true;
      const refused = queue;
      queue = [];
      for (const waiting of refused)
        waiting.reject(new StoreError("CLOSED", "the store was closed before this was written"));
      await running;
    },
  };
}

/** As numbers where LMDB says it. */
const diskFull: readonly unknown[] = ["ENOSPC", 28, "EDQUOT", 122];
/** A limit on the size of files: `ulimit -f`. */
const tooLarge: readonly unknown[] = ["EFBIG", 27];

function commitError(error: unknown, path: string): StoreError {
  if (error instanceof StoreError && error.code === "OUTCOME_UNKNOWN") return error;
  const { code, message } = error as { code?: unknown; message: string };
  const why = tooLarge.includes(code)
    ? "files may not be larger"
    : diskFull.includes(code)
      ? "the disk is full"
      : message;
  return new StoreError("UNAVAILABLE", `nothing was written to the store in ${path}: ${why}`, { cause: error });
}
