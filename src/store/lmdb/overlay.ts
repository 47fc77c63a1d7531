import type { Range, RecordTables, Table } from "./tables.ts";
import { tableNames, type Change, type TableName } from "./wal-format.ts";

/** Records that are not in the tables yet, by table and key; a removed one is undefined. Keys as text of one character a byte: it sorts as they do. */
type Layer = Record<TableName, Map<string, Buffer | undefined>>;

/**
 * The tables with what is on its way to them: what is being decided (seen inside `record` only), what is in the write-ahead log, and of that what is
 * being moved to the tables.
 */
export interface Overlay {
  readonly tables: RecordTables;
  /** Runs `work`, whose `put` and `remove` change nothing yet. Returns what they would. */
  record(work: () => void): readonly Change[];
  /** What was recorded last is shown from now on. */
  publish(): void;
  /** What was recorded last is forgotten. */
  discard(): void;
  /** Shows changes that a log has. */
  load(changes: readonly Change[]): void;
  /** What is shown now is to be moved to the tables; what comes later is not part of it. */
  freeze(): void;
  /** Something is to be moved. */
  readonly frozen: boolean;
  /** About how many bytes are to be moved. */
  readonly frozenBytes: number;
  /** Puts into the tables what is to be moved: within a transaction. */
  move(): void;
  /** The tables have it: it is held no longer. */
  moved(): void;
}

const newLayer = (): Layer => ({ current: new Map(), values: new Map(), log: new Map(), meta: new Map() });
const nameOf = (key: Buffer): string => key.toString("latin1");
const keyOf = (name: string): Buffer => Buffer.from(name, "latin1");

export function overlayOf(base: RecordTables): Overlay {
  let shown = newLayer();
  let older: Layer | undefined;
  let pending: Layer | undefined;
  let recorded: Change[] = [];
  let recording = false;

  /** The newest first. */
  const layers = (name: TableName): Map<string, Buffer | undefined>[] => {
    const found = [shown[name]];
    if (older) found.push(older[name]);
    if (recording && pending) found.unshift(pending[name]);
    return found;
  };

  const change = (table: TableName, key: Buffer, value: Buffer | undefined): void => {
    if (!recording || !pending) throw new Error("tables are changed by a write only");
    recorded.push({ table, key, value });
    pending[table].set(nameOf(key), value);
  };

  const load = (changes: readonly Change[]): void => {
    for (const { table, key, value } of changes) shown[table].set(nameOf(key), value);
  };

  const tableOver = (name: TableName): Table => {
    const under = base[name];

    /** What differs from the table within a range, in order. */
    const changedIn = ({ start, end, exclusiveStart }: Range): [string, Buffer | undefined][] => {
      const first = start ? nameOf(start) : "";
      const last = end && nameOf(end);
      const found = new Map<string, Buffer | undefined>();
      for (const layer of layers(name)) {
        for (const [key, value] of layer) {
          if (key < first || (exclusiveStart && key === first) || (last !== undefined && key >= last)) continue;
          if (!found.has(key)) found.set(key, value);
        }
      }
      return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
    };

    function* merged<T>(
      range: Range,
      below: (range: Range) => Iterable<T>,
      keyIn: (item: T) => Buffer,
      make: (key: Buffer, value: Buffer) => T,
    ): Iterable<T> {
      const changed = changedIn(range);
      if (changed.length === 0) {
        yield* below(range);
        return;
      }
      const { limit = Infinity, ...whole } = range;
      let given = 0;
      let next = 0;
      for (const item of below(whole)) {
        const key = nameOf(keyIn(item));
        for (let entry; (entry = changed[next]) && entry[0] < key; next++) {
          if (given === limit) return;
          if (!entry[1]) continue;
          yield make(keyOf(entry[0]), entry[1]);
          given++;
        }
        if (given === limit) return;
        if (changed[next]?.[0] === key) continue;
        yield item;
        given++;
      }
      for (const [key, value] of changed.slice(next)) {
        if (given === limit) return;
        if (!value) continue;
        yield make(keyOf(key), value);
        given++;
      }
    }

    return {
      get(key) {
        const id = nameOf(key);
        for (const layer of layers(name)) {
          const value = layer.get(id);
          if (value || layer.has(id)) return value;
        }
        return under.get(key);
      },
      range: (range = {}) =>
        merged(
          range,
          (whole) => under.range(whole),
          ({ key }) => key,
          (key, value) => ({ key, value }),
        ),
      keys: (range = {}) =>
        merged(
          range,
          (whole) => under.keys(whole),
          (key) => key,
          (key) => key,
        ),
      lastKey() {
        const changed = changedIn({});
        const gone = new Set(changed.flatMap(([key, value]) => (value ? [] : [key])));
        const newest = changed.findLast(([, value]) => value)?.[0];
        let last = under.lastKey();
        if (last && gone.has(nameOf(last))) last = [...under.keys()].findLast((key) => !gone.has(nameOf(key)));
        if (newest === undefined) return last;
        return last && nameOf(last) > newest ? last : keyOf(newest);
      },
      count(range) {
        let count = under.count(range);
        for (const [key, value] of changedIn(range)) {
          const before = under.get(keyOf(key));
          count += (value ? 1 : 0) - (before ? 1 : 0);
        }
        return count;
      },
      put: (key, value) => change(name, key, value),
      remove: (key) => change(name, key, undefined),
    };
  };

  return {
    tables: {
      current: tableOver("current"),
      values: tableOver("values"),
      log: tableOver("log"),
      meta: tableOver("meta"),
    },
    record(work) {
      recorded = [];
      pending = newLayer();
      recording = true;
      try {
        work();
      } finally {
        recording = false;
      }
      return recorded;
    },
    publish: () => load(recorded),
    discard() {
      recorded = [];
      pending = undefined;
    },
    load,
    freeze() {
      older = shown;
      shown = newLayer();
    },
    get frozen() {
      return older !== undefined;
    },
    get frozenBytes() {
      let bytes = 0;
      for (const name of tableNames)
        for (const [key, value] of older?.[name] ?? []) bytes += key.length + (value?.length ?? 0);
      return bytes;
    },
    move() {
      for (const name of tableNames) {
        for (const [key, value] of older?.[name] ?? []) {
          if (value) base[name].put(keyOf(key), value);
          else base[name].remove(keyOf(key));
        }
      }
    },
    moved() {
      older = undefined;
    },
  };
}
