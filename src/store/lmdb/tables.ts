import { closeSync, existsSync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { open, type Database, type RootDatabase } from "lmdb";
import { StoreError } from "../store.ts";
import { decodeNumber, encodeLog, encodeNumber } from "./records.ts";

/** Version of the layout in records.ts. */
export const format = 1;

export type Table = Database<Buffer, Buffer>;

/** The tables of one directory. See records.ts for what is in them. */
export interface Tables {
  readonly root: RootDatabase<Buffer, Buffer>;
  readonly current: Table;
  readonly values: Table;
  readonly log: Table;
  readonly meta: Table;
}

const tableOptions = { keyEncoding: "binary", encoding: "binary", cache: false } as const;
export const metaKeys = { format: Buffer.from("format"), compacted: Buffer.from("compacted") };

/**
 * Opens the tables; makes them when the directory has none, unless `readOnly`.
 * Throws StoreError: UNAVAILABLE when the directory cannot be used, CORRUPT when what is in it is no store of this format.
 */
export function openTables(directory: string, options: { readOnly: boolean }): Tables {
  const file = join(directory, "data.mdb");
  const isNew = !existsSync(file);
  if (isNew && options.readOnly) throw new StoreError("UNAVAILABLE", `there is no store in ${directory}`);
  try {
    if (isNew) mkdirSync(directory, { recursive: true, mode: 0o700 });
    else padToFullSize(file, options.readOnly);
    const root = open<Buffer, Buffer>({
      ...tableOptions,
      path: directory,
      noSubdir: false,
      maxDbs: 4,
      readOnly: options.readOnly,
      // lmdb's default acknowledges what is visible; only without it what is acknowledged has been synced to disk.
      overlappingSync: false,
      // Writes are batched by the store itself.
      eventTurnBatching: false,
      commitDelay: 0,
    });
    const table = (name: string) => root.openDB<Buffer, Buffer>({ ...tableOptions, name });
    const tables = { root, meta: table("meta"), current: table("current"), values: table("values"), log: table("log") };
    if (!tables.meta.get(metaKeys.format) && !options.readOnly && headOf(tables) === undefined) createEmpty(tables);
    checkFormat(tables, directory);
    return tables;
  } catch (error) {
    throw openError(error, directory);
  }
}

/** The newest revision in the log. */
export function headOf(tables: Tables): number | undefined {
  for (const key of tables.log.getKeys({ reverse: true, limit: 1 })) return decodeNumber(key);
  return undefined;
}

/** An empty store is at revision 1, which changed nothing. */
function createEmpty({ root, meta, log }: Tables): void {
  root.transactionSync(() => {
    meta.putSync(metaKeys.format, encodeNumber(format));
    meta.putSync(metaKeys.compacted, encodeNumber(1));
    log.putSync(encodeNumber(1), encodeLog([]));
  });
}

function checkFormat(tables: Tables, directory: string): void {
  const found = tables.meta.get(metaKeys.format);
  if (!found || headOf(tables) === undefined) {
    throw new StoreError("CORRUPT", `${directory} holds a database that is not a Fairlead store`);
  }
  if (decodeNumber(found) !== format) {
    throw new StoreError(
      "CORRUPT",
      `the store in ${directory} has format ${decodeNumber(found)}; this version of Fairlead reads format ${format}`,
    );
  }
}

/** Where LMDB's two meta pages keep, from their start: magic, page size, last page, transaction. */
const lmdbMeta = { magic: 24, pageSize: 48, lastPage: 144, transaction: 152, magicNumber: 0xbeefc0de };

/**
 * A file cut short would kill the process with SIGBUS when LMDB touches what is missing. Filled up with zeros, the missing
 * pages give an orderly error. Pages at the end that were never used may be missing in a sound file, so short is not damaged.
 */
function padToFullSize(file: string, readOnly: boolean): void {
  const descriptor = openSync(file, readOnly ? "r" : "r+");
  try {
    const { size } = fstatSync(descriptor);
    const page = Buffer.alloc(160);
    let expected = 0;
    let newest = -1n;
    for (const start of [0, 4096]) {
      if (readSync(descriptor, page, 0, page.byteLength, start) < page.byteLength) continue;
      if (page.readUInt32LE(lmdbMeta.magic) !== lmdbMeta.magicNumber) continue;
      const transaction = page.readBigUInt64LE(lmdbMeta.transaction);
      if (transaction <= newest) continue;
      newest = transaction;
      expected = (Number(page.readBigUInt64LE(lmdbMeta.lastPage)) + 1) * page.readUInt32LE(lmdbMeta.pageSize);
    }
    if (newest < 0n) throw new StoreError("CORRUPT", `${file} is not a database, or its beginning is damaged`);
    if (size >= expected) return;
    if (readOnly) throw new StoreError("CORRUPT", `${file} has ${size} bytes of ${expected}: its end is missing`);
    ftruncateSync(descriptor, expected);
  } finally {
    closeSync(descriptor);
  }
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
