/**
 * What Fairlead needs of a store: etcd's contract, as far as Kubernetes uses it.
 *
 * There is one global revision; an empty store is at 1. Each write that changes something raises it by one, whatever number of
 * keys it touches.
 * Keys are UTF-8 strings without NUL, ordered by their bytes. A write is acknowledged only when it is on disk.
 */
export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision of the write that made this value. */
  readonly modRevision: number;
  /** Revision of the write that made the key come into being. */
  readonly createRevision: number;
}

export interface ReadOptions {
  /** Read as of this revision. Absent or 0: the newest. Throws StoreError COMPACTED or FUTURE_REVISION. */
  readonly revision?: number;
}

export interface ListOptions extends ReadOptions {
  /** Only keys strictly after this one. */
  readonly after?: string;
  /** At most so many; 0 or absent: all. */
  readonly limit?: number;
}

export interface ListResult {
  readonly items: readonly KeyValue[];
  /** The revision that was read. */
  readonly revision: number;
  /** True when `limit` cut the list. */
  readonly more: boolean;
  /** How many keys follow the last item. 0 when `more` is false. */
  readonly remaining: number;
}

/** The key must have this modification revision; 0: it must not exist. */
export interface Compare {
  readonly key: string;
  readonly modRevision: number;
}

export type Operation =
  | {
      readonly type: "put";
      readonly key: string;
      readonly value: Uint8Array;
      /** Seconds after which a store that can (`expires`) removes the key by itself; it may be a quarter late, but not by more than a minute. */
      readonly lifetime?: number;
    }
  | { readonly type: "delete"; readonly key: string };

export type WriteResult =
  | { readonly ok: true; readonly revision: number }
  /** A comparison failed. `current` holds, for each failed comparison, what is there. */
  | { readonly ok: false; readonly revision: number; readonly current: ReadonlyMap<string, KeyValue | undefined> };

export interface StoreEvent {
  readonly type: "put" | "delete";
  readonly key: string;
  readonly revision: number;
  /** The new value; absent for a delete. */
  readonly value?: Uint8Array;
  /** What was there before: absent when the key was created. Needed to see an object leave a selector. */
  readonly previous?: KeyValue;
}

/** What a watch delivers: all events of one or more whole revisions, or none and only progress. */
export interface WatchBatch {
  readonly events: readonly StoreEvent[];
  /** Every event up to and including this revision has been delivered on this watch. Never goes back. */
  readonly revision: number;
}

export interface WatchOptions {
  /** First revision to deliver. Absent: everything after now. Throws COMPACTED when it is gone. */
  readonly fromRevision?: number;
  readonly signal?: AbortSignal;
  /** False: events may come without `previous`, which some stores must look up. Default true. */
  readonly previous?: boolean;
}

export interface Store {
  /** Other processes write to it too: what this process has written is not all there is. */
  readonly shared: boolean;
  /** It heeds `lifetime`. */
  readonly expires: boolean;
  get(key: string, options?: ReadOptions): Promise<{ item: KeyValue | undefined; revision: number }>;
  /** All keys that begin with `prefix`, in order. */
  list(prefix: string, options?: ListOptions): Promise<ListResult>;
  /**
   * Applies all operations in one revision if every comparison holds, else none. A delete of a missing key is nothing.
   * Throws OUTCOME_UNKNOWN when it may have happened or may yet happen; after any other error it has not and will not.
   */
  write(compare: readonly Compare[], operations: readonly Operation[]): Promise<WriteResult>;
  /**
   * Gap-free and in order. Begins when this is called, not at the first `next`. Ends when the signal aborts or the store closes.
   * A consumer that falls too far behind gets StoreError SLOW_WATCHER and starts again from its last revision.
   */
  watch(prefix: string, options?: WatchOptions): AsyncIterable<WatchBatch>;
  /** Forgets history before `revision`: reads and watches before it then fail with COMPACTED. The newest values stay. */
  compact(revision: number): Promise<void>;
  /** The newest revision. */
  revision(): Promise<number>;
  /** The oldest revision that can still be read. */
  compacted(): Promise<number>;
  close(): Promise<void>;
}

export type StoreErrorCode =
  | "COMPACTED"
  | "FUTURE_REVISION"
  | "SLOW_WATCHER"
  | "CLOSED"
  | "CORRUPT"
  | "UNAVAILABLE"
  | "TOO_LARGE"
  /** Whether the write happened is not known. It must not be sent again without looking. */
  | "OUTCOME_UNKNOWN"
  /** The store has more to do than it takes: later again. */
  | "TOO_MANY_REQUESTS"
  /** The store's own quota is used up: reads work, writes do not. */
  | "NO_SPACE"
  /** The store refuses this process's credentials. */
  | "DENIED";

export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreError";
    this.code = code;
  }
}
