import { getAt, listAt, readableRevision, type Ledger, type Revision, type Touch } from "../ledger.ts";
import { checkOperations, compareKeys } from "../keys.ts";
import { planWrite } from "../plan.ts";
import { StoreError, type KeyValue, type Store, type StoreEvent } from "../store.ts";
import { createBell, watchLedger } from "../watch.ts";

/** A store that forgets everything when the process ends: for tests, and clusters that shall leave no trace. */
export function createMemoryStore(): Store {
  const state = createState();
  const bell = createBell();
  const check = () => {
    if (bell.closed) throw new StoreError("CLOSED", "the store is closed");
  };
  return {
    shared: false,
    expires: false,
    async get(key, options = {}) {
      check();
      const revision = readableRevision(state, options.revision);
      return { item: getAt(state, key, revision), revision };
    },
    async list(prefix, options = {}) {
      check();
      return listAt(state, prefix, options, readableRevision(state, options.revision));
    },
    async write(compare, operations) {
      check();
      checkOperations(operations);
      const plan = planWrite(compare, operations, (key) => state.newest(key));
      if (!plan.ok) return { ok: false, revision: state.head(), current: plan.current };
      if (plan.changes.length > 0) {
        const revision = state.head() + 1;
        state.append({
          revision,
          events: plan.changes.map((change) => ({ type: change.value ? "put" : "delete", revision, ...change })),
        });
        bell.ring();
      }
      return { ok: true, revision: state.head() };
    },
    watch(prefix, options = {}) {
      check();
      return watchLedger(state, bell, prefix, options);
    },
    async compact(revision) {
      check();
      if (revision > state.head()) throw new StoreError("FUTURE_REVISION", `revision ${revision} is not there yet`);
      state.compact(revision);
    },
    async revision() {
      check();
      return state.head();
    },
    async compacted() {
      check();
      return state.compacted();
    },
    async close() {
      bell.close();
    },
  };
}

interface State extends Ledger {
  append(entry: Revision): void;
  compact(revision: number): void;
}

function createState(): State {
  const values = new Map<string, KeyValue>();
  /** Keys of `values`, in order. */
  const keys: string[] = [];
  /** log[i] is revision `oldest + i`. A new store is at revision 1, as etcd: 0 means "the newest" to readers. */
  let log: Revision[] = [{ revision: 1, events: [] }];
  let oldest = 1;

  /** Index of the first key that is not before `key`. */
  function position(key: string): number {
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareKeys(keys[middle] ?? "", key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function* keysAfter(prefix: string, after: string): Iterable<string> {
    let index = position(compareKeys(after, prefix) < 0 ? prefix : after);
    for (let key = keys[index]; key?.startsWith(prefix); key = keys[++index]) if (key !== after) yield key;
  }

  function set(event: StoreEvent): void {
    const { key, revision, value, previous } = event;
    if (value) {
      values.set(key, { key, value, modRevision: revision, createRevision: previous?.createRevision ?? revision });
      if (!previous) keys.splice(position(key), 0, key);
    } else {
      values.delete(key);
      keys.splice(position(key), 1);
    }
  }

  return {
    head: () => oldest + log.length - 1,
    compacted: () => oldest,
    newest: (key) => values.get(key),
    *scan(prefix, after) {
      for (const key of keysAfter(prefix, after)) {
        const item = values.get(key);
        if (item) yield item;
      }
    },
    count: (prefix, after) => [...keysAfter(prefix, after)].length,
    revisions: (from) => log.slice(from - oldest),
    *touched(from): Iterable<Touch> {
      for (const { events } of log.slice(from - oldest)) {
        for (const event of events) yield { key: event.key, previous: () => event.previous };
      }
    },
    append(entry) {
      for (const event of entry.events) set(event);
      log.push(entry);
    },
    compact(revision) {
      if (revision <= oldest) return;
      log = log.slice(revision - oldest);
      oldest = revision;
    },
  };
}
