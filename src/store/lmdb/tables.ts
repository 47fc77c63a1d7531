import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { open, type Database, type RootDatabase } from "lmdb";
import { StoreError } from "../store.ts";
import { checkFile, createReserve } from "./file-size.ts";
import { decodeNumber, encodeLog, encodeNumber } from "./records.ts";

/** Version of the layout in records.ts. */
export const format = 2;
/** Format 1 had no write-ahead log; else it is the same. */
const formatWithoutLog = 1;

/** Keys from `start` (not itself with `exclusiveStart`) to before `end`, at most `limit` of them. */
export interface Range {
  readonly start?: Buffer;
  readonly end?: Buffer;
  readonly exclusiveStart?: boolean;
  readonly limit?: number;
}

/** One table. Every call throws StoreError CORRUPT where LMDB finds a page damaged. `put` and `remove` need a transaction. */
export interface Table {
  get(key: Buffer): Buffer | undefined;
  range(range?: Range): Iterable<{ key: Buffer; value: Buffer }>;
  keys(range?: Range): Iterable<Buffer>;
  lastKey(): Buffer | undefined;
  count(range: Range): number;
  put(key: Buffer, value: Buffer): void;
  remove(key: Buffer): void;
}

/** The tables of one directory. See records.ts for what is in them. */
export interface RecordTables {
  readonly current: Table;
  readonly values: Table;
  readonly log: Table;
  readonly meta: Table;
}

export interface Tables extends RecordTables {
  readonly root: RootDatabase<Buffer, Buffer>;
  /** To be called before each transaction with about how many bytes it writes. */
  readonly reserve: (bytes: number) => void;
}

const tableOptions = { keyEncoding: "binary", encoding: "binary", cache: false } as const;
export const metaKeys = {
  format: Buffer.from("format"),
  compacted: Buffer.from("compacted"),
  moved: Buffer.from("moved"),
};

/**
 * Opens the tables; makes them when the directory has none, unless `readOnly`.
 * Throws StoreError: UNAVAILABLE when the directory cannot be used, CORRUPT when what is in it is no store of this format.
 */
export function openTables(
  directory: string,
  options: { readOnly: boolean; noFsync?: boolean; firstRevision?: number },
): Tables {
  const file = join(directory, "data.mdb");
  const isNew = !existsSync(file);
  if (isNew && options.readOnly) throw new StoreError("UNAVAILABLE", `there is no store in ${directory}`);
  try {
    if (isNew) mkdirSync(directory, { recursive: true, mode: 0o700 });
    else checkFile(file);
    const root = open<Buffer, Buffer>({
      ...tableOptions,
      path: directory,
      noSubdir: false,
      maxDbs: 4,
      readOnly: options.readOnly,
      // lmdb's default acknowledges what is visible; only without it what is acknowledged has been synced to disk.
      overlappingSync: false,
      noSync: options.noFsync ?? false,
      // Writes are batched by the store itself.
      eventTurnBatching: false,
      commitDelay: 0,
    });
    const table = (name: string) => tableOver(root.openDB<Buffer, Buffer>({ ...tableOptions, name }));
    const tables: Tables = {
      root,
      meta: table("meta"),
      current: table("current"),
      values: table("values"),
      log: table("log"),
      reserve: createReserve(file, () => {
        const { pageSize, lastPageNumber } = root.getStats() as { pageSize: number; lastPageNumber: number };
        return (lastPageNumber + 1) * pageSize;
      }),
    };
    if (!tables.meta.get(metaKeys.format) && !options.readOnly && headOf(tables) === undefined)
      createEmpty(tables, options.firstRevision ?? 1);
    if (isNew) tables.reserve(0);
    checkFormat(tables, directory);
    if (!options.readOnly && decodeNumber(tables.meta.get(metaKeys.format) ?? encodeNumber(0)) !== format)
      root.transactionSync(() => tables.meta.put(metaKeys.format, encodeNumber(format)));
    return tables;
  } catch (error) {
    throw openError(error, directory);
  }
}

/** The newest revision in the log. */
export function headOf({ log }: RecordTables): number | undefined {
  const last = log.lastKey();
  return last && decodeNumber(last);
}

/** An empty store is at its first revision, which changed nothing. */
function createEmpty({ root, meta, log }: Tables, first: number): void {
  root.transactionSync(() => {
    meta.put(metaKeys.format, encodeNumber(format));
    meta.put(metaKeys.compacted, encodeNumber(first));
    log.put(encodeNumber(first), encodeLog([]));
  });
}

function checkFormat(tables: Tables, directory: string): void {
  const found = tables.meta.get(metaKeys.format);
  if (!found || headOf(tables) === undefined) {
    throw new StoreError("CORRUPT", `${directory} holds a database that is not a Fairlead store`);
  }
  if (![format, formatWithoutLog].includes(decodeNumber(found))) {
    throw new StoreError(
      "CORRUPT",
      `the store in ${directory} has format ${decodeNumber(found)}; this version of Fairlead reads format ${format}`,
    );
  }
}

function tableOver(database: Database<Buffer, Buffer>): Table {
  return {
    get: (key) => orDamaged(() => database.get(key)),
    range: (range) => eachOrDamaged(() => database.getRange({ ...range })),
    keys: (range) => eachOrDamaged(() => database.getKeys({ ...range })),
    lastKey() {
      for (const key of eachOrDamaged(() => database.getKeys({ reverse: true, limit: 1 }))) return key;
      return undefined;
    },
    count: (range) => orDamaged(() => database.getKeysCount({ ...range })),
    put: (key, value) => orDamaged(() => database.putSync(key, value)),
    remove: (key) => void orDamaged(() => database.removeSync(key)),
  };
}

function orDamaged<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw damaged(error);
  }
}

function* eachOrDamaged<T>(call: () => Iterable<T>): Iterable<T> {
  try {
    yield* call();
  } catch (error) {
    throw damaged(error);
  }
}

/** LMDB numbers its own errors from -30799 on. */
function damaged(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message: string };
  if (typeof code !== "number" || code > -30_000) return error;
  return new StoreError("CORRUPT", `the store is damaged: ${message}`, { cause: error });
}

function openError(error: unknown, directory: string): StoreError {
  if (error instanceof StoreError) return error;
  const { code, message } = error as { code?: unknown; message: string };
  const reasons: Record<string, string> = {
    EACCES: "this user may not write there",
    EPERM: "this user may not write there",
    EROFS: "the file system is read-only",
    ENOSPC: "the disk is full",
    ENOTDIR: "a part of the path is not a directory",
    EEXIST: "it is not a directory",
  };
  const reason = reasons[String(code)];
  if (reason)
    return new StoreError("UNAVAILABLE", `the store in ${directory} cannot be opened: ${reason}`, { cause: error });
  return new StoreError("CORRUPT", `the store in ${directory} cannot be opened: ${message}`, { cause: error });
}
