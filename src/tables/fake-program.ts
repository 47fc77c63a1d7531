import type { FakeProgram, Transaction } from "./program.ts";
import { rowId, type Row } from "./row.ts";

/**
 * A program in memory, as strict as the kernel: adding what is there or removing what is not is an error. A row with the key
 * "unfit" does not fit.
 */
export function createFakeProgram(): FakeProgram {
  const rows = new Map<string, Row>();
  const transactions: Transaction[] = [];
  let failures = 0;
  return {
    rows,
    transactions,
    fail(times) {
      failures = times;
    },
    tamper(change) {
      change(rows);
    },
    read: (tables) => Promise.resolve([...rows.values()].filter(({ table }) => tables.includes(table))),
    async apply(transaction) {
      await Promise.resolve();
      if (failures > 0) {
        failures -= 1;
        throw new Error("the program refuses");
      }
      const next = new Map(transaction.reset ? [] : rows);
      const fits = (row: Row) => !row.key.includes("unfit");
      for (const row of transaction.remove.filter(fits))
        if (!next.delete(rowId(row))) throw new Error(`no row ${rowId(row)}`);
      for (const row of transaction.add.filter(fits)) {
        if (next.has(rowId(row))) throw new Error(`row ${rowId(row)} exists`);
        next.set(rowId(row), row);
      }
      rows.clear();
      for (const [id, row] of next) rows.set(id, row);
      transactions.push(transaction);
      return transaction.add.filter((row) => !fits(row));
    },
  };
}
