import { StoreError } from "../store.ts";
import {
  decodeCurrent,
  decodeLog,
  decodeNumber,
  decodePosition,
  unseal,
  type LogEntry,
  type Position,
} from "./records.ts";
import { openForReading } from "./logged-tables.ts";
import { headOf, metaKeys, type RecordTables } from "./tables.ts";

/** Something that is not as it must be. */
export interface StoreFinding {
  /** Where: a key, a revision of the log, or a value's position. */
  readonly at: string;
  readonly problem: string;
}

export interface StoreReport {
  readonly head: number;
  readonly compacted: number;
  /** How many keys exist. */
  readonly keys: number;
  /** How many revisions the log has. */
  readonly revisions: number;
  /** Bytes of all values, also of those that only history needs. */
  readonly valueBytes: number;
  /** Empty: the store is sound. At most 100. */
  readonly findings: readonly StoreFinding[];
}

const maxFindings = 100;

/**
 * Reads every record of the store in `path` and compares what depends on each other. Changes nothing, and may run beside
 * the process that has the store open: it sees one moment. Throws StoreError when the store cannot be read at all.
 */
export async function checkStore(path: string): Promise<StoreReport> {
  const { tables, close } = openForReading(path);
  try {
    return examine(tables);
  } finally {
    await close();
  }
}

function examine(tables: RecordTables): StoreReport {
  const findings: StoreFinding[] = [];
  const find = (at: string, problem: string) => {
    if (findings.length < maxFindings) findings.push({ at, problem });
  };
  const head = headOf(tables) ?? 0;
  const compacted = decodeNumber(tables.meta.get(metaKeys.compacted) ?? Buffer.alloc(6));
  const values = readValues(tables, head, find);
  const { latest, revisions } = readLog(tables, compacted, values, find);
  const keys = readCurrent(tables, head, values, latest, find);
  for (const [id, value] of values) if (!value.used) find(id, "no key and no revision refers to this value");
  let valueBytes = 0;
  for (const value of values.values()) valueBytes += value.bytes;
  return { head, compacted, keys, revisions, valueBytes, findings };
}

type Find = (at: string, problem: string) => void;
/** By position: how large each value is, and whether something refers to it. */
type Values = Map<string, { readonly bytes: number; used: boolean }>;

function idOf({ revision, ordinal }: Position): string {
  return `value ${revision}/${ordinal}`;
}

function readValues({ values }: RecordTables, head: number, find: Find): Values {
  const found: Values = new Map();
  for (const { key, value } of values.range()) {
    const position = decodePosition(key);
    const id = idOf(position);
    found.set(id, { bytes: value.byteLength, used: false });
    attempt(id, find, () => unseal(value, id));
    if (position.revision > head) find(id, `is newer than the newest revision ${head}`);
  }
  return found;
}

/** Marks what the log refers to. Returns the last entry of each key that the log names. */
function readLog({ log }: RecordTables, compacted: number, values: Values, find: Find) {
  const latest = new Map<string, LogEntry & Position>();
  let revisions = 0;
  let expected: number | undefined;
  for (const { key, value } of log.range()) {
    const revision = decodeNumber(key);
    const at = `revision ${revision}`;
    if (expected === undefined && revision > compacted) find(at, `is the oldest, but ${compacted} should be`);
    if (expected !== undefined && revision !== expected) find(at, `follows a gap: ${expected} is missing`);
    expected = revision + 1;
    revisions++;
    const entries = attempt(at, find, () => decodeLog(value, revision)) ?? [];
    for (const [ordinal, entry] of entries.entries()) {
      const last = latest.get(entry.key);
      const previous = entry.previous ? idOf(entry.previous) : "nothing";
      const before = !last || last.type === "delete" ? "nothing" : idOf(last);
      if (last && previous !== before) find(at, `${entry.key} replaces ${previous}, but ${before} was there`);
      if (entry.previous) use(values, entry.previous, at, entry.key, find);
      // An interrupted compaction leaves revisions whose values may have gone; nobody can read those.
      if (entry.type === "put" && (revision >= compacted || values.has(idOf({ revision, ordinal })))) {
        use(values, { revision, ordinal }, at, entry.key, find);
      }
      latest.set(entry.key, { ...entry, revision, ordinal });
    }
  }
  return { latest, revisions };
}

function readCurrent(
  { current }: RecordTables,
  head: number,
  values: Values,
  latest: ReadonlyMap<string, LogEntry & Position>,
  find: Find,
): number {
  const present = new Set<string>();
  for (const { key: bytes, value } of current.range()) {
    const key = bytes.toString();
    const now = decodeCurrent(value);
    present.add(key);
    use(values, now, key, key, find);
    if (now.revision > head) find(key, `was changed at revision ${now.revision}, but ${head} is the newest`);
    if (now.createRevision > now.revision)
      find(key, `was changed at ${now.revision} before it was made at ${now.createRevision}`);
    const last = latest.get(key);
    if (!last) continue;
    if (last.type === "delete") find(key, `exists, but revision ${last.revision} deleted it`);
    else if (idOf(last) !== idOf(now)) find(key, `is at ${idOf(now)}, but the log says ${idOf(last)}`);
    else if (last.createRevision !== now.createRevision) find(key, "has another creation revision than the log says");
  }
  for (const [key, last] of latest) {
    if (last.type === "put" && !present.has(key)) find(key, `is missing, but revision ${last.revision} wrote it`);
  }
  return present.size;
}

function use(values: Values, position: Position, at: string, key: string, find: Find): void {
  const value = values.get(idOf(position));
  if (value) value.used = true;
  else find(at, `${key}: ${idOf(position)} is missing`);
}

function attempt<T>(at: string, find: Find, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    find(at, error.message.replace(/^the store is damaged: /, ""));
    return undefined;
  }
}
