import { StoreError, type Store, type StoreErrorCode } from "../store/index.ts";

/** Codes that say that the store does not do its part, whatever it was asked. */
const faults: ReadonlySet<StoreErrorCode> = new Set([
  "UNAVAILABLE",
  "OUTCOME_UNKNOWN",
  "NO_SPACE",
  "DENIED",
  "CORRUPT",
]);

/** Milliseconds after which a store that is asked for its revision counts as one that does not answer. */
const patience = 2_000;

export interface StoreHealth {
  /** The same store, whose writes are looked at. */
  readonly store: Store;
  /** Undefined: it answers and takes writes; else what is wrong. Asking it asks the store as well: what comes of that is told the next time. */
  readonly problem: () => string | undefined;
}

/**
 * Watches whether a store can be reached and takes writes. That it refuses writes holds until one is taken: there are always some, the
 * heartbeats of nodes and leases at least.
 */
export function watchStore(inner: Store, now: () => number = () => performance.now()): StoreHealth {
  let refused: string | undefined;
  let silent: string | undefined;
  let asked: number | undefined;

  const faultIn = (error: unknown): string | undefined =>
    error instanceof StoreError && faults.has(error.code) ? error.message : undefined;
  const probe = (): void => {
    asked = now();
    inner
      .revision()
      .then(
        () => (silent = undefined),
        (error: unknown) => (silent = faultIn(error)),
      )
      .finally(() => (asked = undefined));
  };

  return {
    store: {
      ...inner,
      async write(compare, operations) {
        try {
          const result = await inner.write(compare, operations);
          refused = undefined;
          return result;
        } catch (error) {
          refused = faultIn(error) ?? refused;
          throw error;
        }
      },
    },
    problem() {
      if (asked === undefined) probe();
      else if (now() - asked > patience) return "the store does not answer";
      if (silent !== undefined) return `the store can not be reached: ${silent}`;
      return refused === undefined ? undefined : `the store refuses writes: ${refused}`;
    },
  };
}
