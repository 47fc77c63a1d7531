import type { Row } from "./row.ts";

/** A change of rows that becomes true as a whole or not at all. */
export interface Transaction {
  /**
   * The state of the program is unknown or not wanted: build it anew and give it exactly the rows in `add`. The old rows
   * serve until the new ones do.
   */
  readonly reset: boolean;
  /** Rows that exist now and go. Empty with `reset`. */
  readonly remove: readonly Row[];
  /** Rows that come. A row whose value changes is in both lists. */
  readonly add: readonly Row[];
}

/** A data plane: a fixed program whose rows are all that configures it. */
export interface Program {
  /**
   * Resolves when the rows are in force, with those that do not fit the grammar of their table: they were left out, and are
   * passed over when they are removed. When it throws, nothing has changed.
   */
  apply(transaction: Transaction): Promise<readonly Row[]>;
  /** Whether `apply` would take it, without doing it. Absent where there is no way to know. */
  readonly check?: (transaction: Transaction) => Promise<boolean>;
  /** The rows of these tables that are in force; undefined when they cannot be told. Absent where there is no way to know. */
  readonly read?: (tables: readonly string[]) => Promise<readonly Row[] | undefined>;
}

export interface FakeProgram extends Program {
  /** The rows in force, by `rowId`. */
  readonly rows: ReadonlyMap<string, Row>;
  readonly transactions: readonly Transaction[];
  /** The next `times` applications throw. */
  fail(times: number): void;
  /** Somebody else changes the rows in force. */
  tamper(change: (rows: Map<string, Row>) => void): void;
}
