import { compareKeys } from "../keys.ts";
import type { Ledger, Revision, Touch } from "../ledger.ts";
import type { Change } from "../plan.ts";
import type { KeyValue, StoreEvent } from "../store.ts";
import {
  decodeCurrent,
  decodeLog,
  decodeNumber,
  encodeCurrent,
  encodeLog,
  encodeNumber,
  encodePosition,
  seal,
  unseal,
  type LogEntry,
  type Position,
} from "./records.ts";
import { headOf, metaKeys, type RecordTables } from "./tables.ts";

/** The state as the tables hold it. The methods that write must be called inside a write of the tables. */
export interface LmdbLedger extends Ledger {
  /** Adds a revision to the tables; returns it as events. */
  append(revision: number, changes: readonly Change[]): Revision;
  /** Makes what has just been committed the head, and remembers it, so that watchers do not read it back. */
  remember(entry: Revision): void;
  setCompacted(revision: number): void;
  /** Forgets the oldest revisions before `revision`, at most `limit` of them. Returns false when none are left. */
  forget(revision: number, limit: number): boolean;
}

/** How much of the newest log is kept in memory. */
const recentEvents = 1000;
const recentBytes = 4 << 20;

export function createLmdbLedger(tables: RecordTables): LmdbLedger {
  const { current, values, log, meta } = tables;
  const recent = createRecent();

  /** Of what is shown: to look it up each time would cost more. */
  let head = headOf(tables) ?? 1;
  const compacted = () => decodeNumber(meta.get(metaKeys.compacted) ?? encodeNumber(1));

  function read(key: string, at: Position, createRevision: number): KeyValue {
    const value = unseal(values.get(encodePosition(at)), `the value of ${key} at revision ${at.revision}`);
    return { key, value, modRevision: at.revision, createRevision };
  }

  function newest(key: string): KeyValue | undefined {
    if (key === "") return undefined;
    const found = current.get(Buffer.from(key));
    if (!found) return undefined;
    const at = decodeCurrent(found);
    return read(key, at, at.createRevision);
  }

  /** What an entry of the log replaced. */
  function previousOf({ key, previous, createRevision }: LogEntry): KeyValue | undefined {
    return previous && read(key, previous, createRevision);
  }

  function eventOf(entry: LogEntry, at: Position): StoreEvent {
    const { type, key } = entry;
    const previous = previousOf(entry);
    return {
      type,
      key,
      revision: at.revision,
      ...(type === "put" ? { value: read(key, at, entry.createRevision).value } : {}),
      ...(previous ? { previous } : {}),
    };
  }

  function* logFrom(from: number): Iterable<{ revision: number; entries: LogEntry[] }> {
    for (const { key, value } of log.range({ start: encodeNumber(from) })) {
      const revision = decodeNumber(key);
      yield { revision, entries: decodeLog(value, revision) };
    }
  }

  return {
    head: () => head,
    compacted,
    newest,
    *scan(prefix, after) {
      for (const { key, value } of current.range(rangeOf(prefix, after))) {
        const at = decodeCurrent(value);
        yield read(key.toString(), at, at.createRevision);
      }
    },
    count: (prefix, after) => current.count(rangeOf(prefix, after)),
    *revisions(from) {
      let next = from;
      for (const entry of recent.from(from)) {
        yield entry;
        next = entry.revision + 1;
      }
      if (next > head) return;
      for (const { revision, entries } of logFrom(next)) {
        yield { revision, events: entries.map((entry, ordinal) => eventOf(entry, { revision, ordinal })) };
      }
    },
    *touched(from): Iterable<Touch> {
      for (const { entries } of logFrom(from)) {
        for (const entry of entries) yield { key: entry.key, previous: () => previousOf(entry) };
      }
    },
    append(revision, changes) {
      const entries: LogEntry[] = [];
      const events: StoreEvent[] = [];
      for (const [ordinal, change] of changes.entries()) {
        const { key, value, previous } = change;
        const keyBytes = Buffer.from(key);
        const createRevision = previous?.createRevision ?? revision;
        const before = previous && decodeCurrent(current.get(keyBytes) ?? Buffer.alloc(14));
        if (value) {
          values.put(encodePosition({ revision, ordinal }), seal(value));
          current.put(keyBytes, encodeCurrent({ revision, ordinal, createRevision }));
        } else {
          current.remove(keyBytes);
        }
        const type = value ? "put" : "delete";
        entries.push({ type, key, createRevision, ...(before ? { previous: before } : {}) });
        events.push({ type, revision, ...change });
      }
      log.put(encodeNumber(revision), encodeLog(entries));
      return { revision, events };
    },
    remember(entry) {
      head = entry.revision;
      recent.add(entry);
    },
    setCompacted: (revision) => meta.put(metaKeys.compacted, encodeNumber(revision)),
    forget(before, limit) {
      const oldest = [...log.keys({ end: encodeNumber(before), limit })];
      for (const key of oldest) {
        const revision = decodeNumber(key);
        // What this revision replaced is needed by no revision from `before` on.
        for (const { previous } of decodeLog(log.get(key), revision)) {
          if (previous) values.remove(encodePosition(previous));
        }
        log.remove(key);
      }
      return oldest.length === limit;
    },
  };
}

/** UTF-8 never has the byte 0xff, so a prefix with it added comes after all keys that begin with the prefix. */
function rangeOf(prefix: string, after: string): { start: Buffer; end: Buffer; exclusiveStart: boolean } {
  const end = Buffer.concat([Buffer.from(prefix), Buffer.from([0xff])]);
  // LMDB has no empty key; no key of ours begins with NUL.
  const start = compareKeys(after, prefix) < 0 ? prefix : after;
  return { start: Buffer.from(start || "\0"), end, exclusiveStart: start === after && after !== "" };
}

/** The newest revisions, as far as they fit. */
function createRecent() {
  let entries: Revision[] = [];
  let events = 0;
  let bytes = 0;
  const weigh = (entry: Revision, sign: number) => {
    events += sign * (entry.events.length + 1);
    for (const event of entry.events) bytes += sign * (event.value?.byteLength ?? 0);
  };
  return {
    add(entry: Revision): void {
      entries.push(entry);
      weigh(entry, 1);
      if (events <= recentEvents && bytes <= recentBytes) return;
      // Halving now and then is cheaper than shifting with each write.
      const gone = entries.splice(0, Math.ceil(entries.length / 2));
      for (const old of gone) weigh(old, -1);
    },
    /** Revisions from `from` on; none when `from` is older than all that are kept. */
    from(from: number): readonly Revision[] {
      const first = entries[0]?.revision ?? Infinity;
      return from < first ? [] : entries.slice(from - first);
    },
  };
}
