/** What clients did with objects and what they were told, for the checker. Times are milliseconds of one monotonic clock. */

export type Action =
  | { readonly type: "create"; readonly token: string }
  /** Only if the object still has the version `base`. */
  | { readonly type: "update"; readonly token: string; readonly base: number }
  | { readonly type: "delete" }
  | { readonly type: "get" };

/** A state that was seen or made: each write has a token of its own. */
export interface Seen {
  readonly token: string;
  readonly version: number;
}

export type Outcome =
  /** Of a write: what is there now; of a delete: what was removed; of a get: what is there. */
  | { readonly type: "ok"; readonly seen: Seen }
  | { readonly type: "exists" }
  | { readonly type: "absent" }
  | { readonly type: "conflict" }
  /** Of a write: it may have happened, may yet happen, or never will. */
  | { readonly type: "unknown" };

export interface Operation {
  readonly key: string;
  readonly client: number;
  readonly action: Action;
  readonly begun: number;
  readonly ended: number;
  readonly outcome: Outcome;
}

export interface Listed {
  readonly client: number;
  readonly begun: number;
  readonly ended: number;
  readonly version: number;
  readonly items: ReadonlyMap<string, Seen>;
}

export interface Change {
  readonly version: number;
  readonly key: string;
  /** Undefined: it was deleted. */
  readonly token: string | undefined;
}

/** What one watcher was told, in the order in which it was, across all its connections. */
export interface Watched {
  /** The version of the list that it began with. */
  readonly from: number;
  readonly changes: readonly Change[];
}

export interface History {
  readonly operations: readonly Operation[];
  readonly lists: readonly Listed[];
  readonly watches: readonly Watched[];
  /** What was there at the end, when nobody wrote any more. */
  readonly end: Listed;
}
