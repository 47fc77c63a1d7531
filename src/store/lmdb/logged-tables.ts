import { decodeNumber, encodeNumber } from "./records.ts";
import { metaKeys, openTables, type RecordTables, type Tables } from "./tables.ts";
import { overlayOf, type Overlay } from "./overlay.ts";
import { openWal, readWal, type WalFound } from "./wal.ts";
import { StoreError } from "../store.ts";

/** The tables with their write-ahead log: a write is on disk when the log has it, and goes to the tables later, with many others. */
export interface LoggedTables {
  readonly tables: RecordTables;
  /**
   * Runs `work`, which may put and remove, and settles when what it did is on disk and shown. One at a time. Rejects with what `work`
   * throws, the system's error or LMDB's; then nothing was done; with StoreError OUTCOME_UNKNOWN when that cannot be said.
   */
  write(work: () => void): Promise<void>;
  /** Moves all to the tables. What cannot be moved stays in the log. */
  close(): Promise<void>;
}

/** When the log has so many bytes, its content goes to the tables: in one transaction, which holds the thread for some milliseconds. */
const enough = 1 << 20;
/** Where that does not succeed, writes wait for it from here on: the log does not grow any more. */
const tooMuch = 4 << 20;

/** Opens the tables for writing. Throws as `openTables` and `readWal`. */
export function openLoggedTables(
  directory: string,
  { noFsync, firstRevision }: { noFsync: boolean; firstRevision: number },
): LoggedTables {
  const found = readWal(directory);
  const base = openTables(directory, { readOnly: false, noFsync, firstRevision });
  const { overlay, uses } = onTop(base, found, directory);
  const last = uses.at(-1);
  const wal = openWal(directory, { noFsync, last, generation: lastMoved(base) });
  let moving: Promise<void> | undefined;

  async function move(): Promise<void> {
    if (!overlay.frozen) {
      overlay.freeze();
      wal.rotate();
    }
    base.reserve(overlay.frozenBytes);
    try {
      await base.root.transaction(() => {
        overlay.move();
        base.meta.put(metaKeys.moved, encodeNumber(wal.generation - 1));
      });
    } catch (error) {
      throw await reasonOf(error);
    }
    base.root.resetReadTxn();
    overlay.moved();
  }

  const beginToMove = (): Promise<void> => {
    moving ??= move().finally(() => {
      moving = undefined;
    });
    return moving;
  };

  return {
    tables: overlay.tables,
    async write(work) {
      if (wal.used >= tooMuch) await beginToMove();
      const changes = overlay.record(work);
      try {
        if (changes.length > 0) await wal.append(changes);
        overlay.publish();
      } finally {
        overlay.discard();
      }
      // A failure is met again, and told, by the first write for which the log has no room.
      if (wal.used >= enough) beginToMove().catch(() => {});
    },
    async close() {
      try {
        await moving?.catch(() => {});
        // Twice: what was being moved, and what came since.
        for (let round = 0; round < 2 && (overlay.frozen || wal.used > 0); round++) await beginToMove();
      } catch {
        // The next to open the store finds it in the log.
      } finally {
        wal.close();
        await base.root.close();
      }
    },
  };
}

/**
 * Opens the tables for reading, of a store that another process may have open: shows one moment, if it is read in one turn of the event loop.
 * Throws as `openTables` and `readWal`.
 */
export function openForReading(directory: string): { tables: RecordTables; close: () => Promise<void> } {
  // In this order: what leaves the log meanwhile is in the tables.
  const found = readWhileWritten(directory);
  const base = openTables(directory, { readOnly: true });
  return { tables: onTop(base, found, directory).overlay.tables, close: () => base.root.close() };
}

/** A log that is written while it is read may look damaged, but not each time. */
function readWhileWritten(directory: string): WalFound[] {
  let found = readWal(directory);
  for (let tries = 0; tries < 3 && found.some(({ damage }) => damage !== undefined); tries++)
    found = readWal(directory);
  return found;
}

/** LMDB says in a second promise why a transaction failed. */
function reasonOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<never> };
  return Promise.resolve(commitError).then(
    () => error,
    (why: unknown) => why,
  );
}

/** Number of the last use of the log that the tables hold; 0: none. */
function lastMoved({ meta }: RecordTables): number {
  const bytes = meta.get(metaKeys.moved);
  return bytes ? decodeNumber(bytes) : 0;
}

/** The tables with what the log has beyond them; and which uses of the log these are: none, one, or the one that was being moved and the last. */
function onTop(base: Tables, found: readonly WalFound[], directory: string): { overlay: Overlay; uses: WalFound[] } {
  const moved = lastMoved(base);
  const uses = found.filter(({ generation }) => generation > moved);
  const overlay = overlayOf(base);
  for (const [i, { groups, generation, damage }] of uses.entries()) {
    if (damage !== undefined) throw new StoreError("CORRUPT", damage);
    if (generation !== moved + 1 + i)
      throw new StoreError(
        "CORRUPT",
        `the store in ${directory} is damaged: part ${moved + 1 + i} of its write-ahead log is missing`,
      );
    if (i > 0) overlay.freeze();
    for (const changes of groups) overlay.load(changes);
  }
  return { overlay, uses };
}
