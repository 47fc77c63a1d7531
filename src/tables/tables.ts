import { type Clock, type Logger, whenAborted } from "../system/index.ts";
import { createPending } from "./pending.ts";
import type { Program, Transaction } from "./program.ts";
import { rowId, sameValue, type Row } from "./row.ts";

export interface TablesOptions {
  readonly program: Program;
  /** Tables in which several owners may ask for the same row: it exists as long as one of them does. */
  readonly shared?: readonly string[];
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after each transaction that is in force. */
  readonly onApplied?: (transaction: Transaction, milliseconds: number) => void;
  /** Called for each row that the program cannot hold. It is left out, the others are applied. */
  readonly onRefused?: (row: Row) => void;
}

/**
 * Keeps a program's rows as its owners want them. The cost of a change is what changed.
 *
 * The first change is applied at once; what comes while the program is busy is applied together afterwards, and after a
 * transaction the engine rests for as long as that took. A failure is retried with back-off, as a whole.
 */
export interface Tables {
  /** These are all rows of `owner` from now on, each table and key once. */
  set(owner: string, rows: readonly Row[]): void;
  /** The rows of one owner, as last set. */
  rowsOf(owner: string): readonly Row[];
  /**
   * Begins to apply. Before it `set` only collects. Without `found` the first transaction replaces whatever the program held; with it only
   * what differs is changed.
   * @param found the rows that are in force
   */
  start(found?: readonly Row[]): void;
  /** Resolves when all that was set before is in force; rejects when the signal aborts. */
  settled(): Promise<void>;
  /** The program has lost its state: apply everything anew. */
  rebuild(): void;
  /**
   * Reads these tables back from the program, and puts right what is not as it should be. Resolves with the number of rows that were not;
   * with -1 when they could not be told and everything is built anew.
   */
  verify(tables: readonly string[]): Promise<number>;
  /** Why the last transaction failed; undefined when it did not. */
  readonly failure: Error | undefined;
  readonly size: number;
  /** Settles when the signal has aborted and the last transaction has ended. */
  readonly stopped: Promise<void>;
}

const firstRetry = 100;
const longestRetry = 30_000;
const longestRest = 1_000;
/** Times that tables are read back while they change. */
const readings = 10;

export function createTables(options: TablesOptions): Tables {
  const { program, signal, clock, log } = options;
  const byOwner = new Map<string, readonly Row[]>();
  const shared = new Map<string, number>();
  const sharedTables = new Set(options.shared);
  const pending = createPending();
  let size = 0;
  let started = false;
  let reset = true;
  let failure: Error | undefined;
  /** Transactions begun: what was read meanwhile is of the past. */
  let begun = 0;
  /** Rows that the program does not hold. */
  const refusedRows = new Set<string>();
  let wake: () => void = () => {};
  let waiting: { resolve: () => void; reject: (reason: unknown) => void }[] = [];

  /** True when the row appears or disappears by this, false when another owner still holds it. */
  function hold(row: Row, by: 1 | -1): boolean {
    if (!sharedTables.has(row.table)) return true;
    const id = rowId(row);
    const before = shared.get(id) ?? 0;
    const after = before + by;
    if (after > 0) shared.set(id, after);
    else shared.delete(id);
    return before === 0 || after === 0;
  }

  function replace(before: Row | undefined, after: Row | undefined): void {
    size += (after ? 1 : 0) - (before ? 1 : 0);
    // Before the start, and while everything is to be built anew, there is nothing to take a difference from.
    if (started && !reset) pending.replace(before, after);
  }

  function set(owner: string, rows: readonly Row[]): void {
    const before = byOwner.get(owner) ?? [];
    if (rows.length > 0) byOwner.set(owner, rows);
    else byOwner.delete(owner);

    if (before.length === 0) {
      for (const row of rows) if (hold(row, 1)) replace(undefined, row);
    } else {
      const next = new Map(rows.map((row) => [rowId(row), row]));
      for (const old of before) {
        const id = rowId(old);
        const row = next.get(id);
        if (!row) {
          if (hold(old, -1)) replace(old, undefined);
          continue;
        }
        if (!sameValue(old, row)) replace(old, row);
        next.delete(id);
      }
      for (const row of next.values()) if (hold(row, 1)) replace(undefined, row);
    }
    if (pending.size > 0 || reset) wake();
  }

  function everything(): Transaction {
    const add: Row[] = [];
    const seen = new Set<string>();
    for (const rows of byOwner.values()) {
      for (const row of rows) {
        if (sharedTables.has(row.table)) {
          const id = rowId(row);
          if (seen.has(id)) continue;
          seen.add(id);
        }
        add.push(row);
      }
    }
    return { reset: true, remove: [], add };
  }

  function next(): Transaction | undefined {
    if (reset) {
      pending.clear();
      return everything();
    }
    return pending.size > 0 ? pending.take() : undefined;
  }

  async function run(): Promise<void> {
    let retry = firstRetry;
    while (!signal.aborted) {
      const transaction = next();
      // What they wait for is in this transaction, or in force already.
      const waiters = waiting.splice(0);
      if (!transaction) {
        for (const waiter of waiters) waiter.resolve();
        await woken();
        // What else happens in this turn of the event loop goes into the same transaction.
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      // From here on differences are taken against what this transaction makes.
      reset = false;
      const began = clock.now();
      begun++;
      try {
        const refused = await program.apply(transaction);
        if (transaction.reset) refusedRows.clear();
        for (const row of transaction.remove) refusedRows.delete(rowId(row));
        for (const row of refused) {
          refusedRows.add(rowId(row));
          options.onRefused?.(row);
        }
      } catch (error) {
        waiting.unshift(...waiters);
        if (signal.aborted) break;
        failure = error instanceof Error ? error : new Error(String(error));
        reset = true;
        const rows = transaction.add.length;
        log.error({ error: failure.message, rows, retryIn: retry }, "rows could not be applied");
        await clock.sleep(retry, signal).catch(() => {});
        retry = Math.min(retry * 2, longestRetry);
        continue;
      }
      failure = undefined;
      retry = firstRetry;
      for (const waiter of waiters) waiter.resolve();
      const took = clock.now() - began;
      options.onApplied?.(transaction, took);
      if (pending.size > 0) await clock.sleep(Math.min(took, longestRest), signal).catch(() => {});
    }
    turnAway();
  }

  /** Puts into `pending` what has to change so that rows that are in force become those that are wanted. Returns how many it is. */
  function difference(found: readonly Row[], isMeant: (row: Row) => boolean): number {
    const inForce = new Map(found.map((row) => [rowId(row), row]));
    let differing = 0;
    const change = (before: Row | undefined, after: Row | undefined): void => {
      differing++;
      pending.replace(before, after);
    };
    for (const row of everything().add) {
      if (!isMeant(row)) continue;
      const id = rowId(row);
      const old = inForce.get(id);
      inForce.delete(id);
      if (old ? !sameValue(old, row) : !refusedRows.has(id)) change(old, row);
    }
    for (const old of inForce.values()) change(old, undefined);
    return differing;
  }

  async function verify(names: readonly string[]): Promise<number> {
    if (!program.read || !started || names.length === 0) return 0;
    const meant = new Set(names);
    for (let attempt = 0; attempt < readings && !signal.aborted; attempt++) {
      await settled();
      const before = begun;
      const found = await program.read(names);
      // Rows that changed meanwhile may have been read before or after.
      if (begun !== before || pending.size > 0 || reset) continue;
      if (!found) break;
      const differing = difference(found, ({ table }) => meant.has(table));
      if (differing > 0) wake();
      return differing;
    }
    reset = true;
    wake();
    return -1;
  }

  function settled(): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      wake();
    });
  }

  /** Nothing will be applied any more. */
  function turnAway(): void {
    for (const waiter of waiting.splice(0)) waiter.reject(signal.reason);
  }

  function woken(): Promise<void> {
    return new Promise((resolve) => (wake = resolve));
  }

  let ended: () => void = () => {};
  const stopped = new Promise<void>((resolve) => (ended = resolve));
  whenAborted(signal, () => {
    turnAway();
    wake();
    if (!started) ended();
  });

  return {
    set,
    rowsOf: (owner) => byOwner.get(owner) ?? [],
    verify,
    start(found) {
      if (started) return;
      started = true;
      if (found) {
        reset = false;
        difference(found, () => true);
      }
      void run().finally(ended);
    },
    settled,
    rebuild() {
      reset = true;
      wake();
    },
    get failure() {
      return failure;
    },
    get size() {
      return size;
    },
    stopped,
  };
}
