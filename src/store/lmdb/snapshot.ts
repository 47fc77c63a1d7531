import type { Snapshot } from "../backup/copy.ts";
import { createLmdbLedger } from "./ledger.ts";
import { openForReading } from "./logged-tables.ts";

/**
 * The state of the store in `path`, which another process may have open and go on writing. One that is taken without a pause shows one
 * moment, as LMDB's readers do: it is to be read in one turn of the event loop. Throws StoreError as `checkStore`.
 */
export function snapshotLmdb(path: string): Snapshot {
  const { tables, close } = openForReading(path);
  const ledger = createLmdbLedger(tables);
  return {
    revision: ledger.head(),
    items: ledger.scan("", ""),
    close,
  };
}
