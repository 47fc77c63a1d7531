import { setTimeout as sleep } from "node:timers/promises";
import { checkOperations } from "../keys.ts";
import {
  StoreError,
  type Compare,
  type KeyValue,
  type ListOptions,
  type Operation,
  type Store,
  type WriteResult,
} from "../store.ts";
import { createEtcdClient, type EtcdClientOptions } from "./client.ts";
import type { KeyValue as WireKeyValue, RequestOp, TxnResponse } from "./generated/messages.ts";
import { createKeyMap, type KeyMap } from "./keys.ts";
import { createLeases, type Leases } from "./leases.ts";
import { watchEtcd } from "./watch.ts";

export interface EtcdStoreOptions extends EtcdClientOptions {
  /** What every key begins with here, such as `/registry/`; `prefix` stands in its place in etcd. Default: nothing, so all of etcd is the store. */
  readonly root?: string;
  readonly prefix?: string;
  /** Closes the store when it aborts. */
  readonly signal?: AbortSignal;
}

/** Items of one answer when the whole list is asked for. */
const page = 1000;
/** Reads that look whether a write has happened, and milliseconds between them. */
const looks = 3;
const lookEvery = 300;

/**
 * A store in an etcd cluster (3.4 or newer), which other processes may use at the same time. All reads are linearizable. Values of up
 * to etcd's `--max-request-bytes` (1.5 MiB, a little of it etcd's own) are taken. Throws StoreError UNAVAILABLE or DENIED when no
 * member answers.
 */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const client = createEtcdClient(options);
  const keys = createKeyMap(options);
  const leases = createLeases(client, () => performance.now());
  const closing = new AbortController();
  /** The newest revision that any answer told of. */
  let known = 0;
  /** What this process has compacted: etcd keeps one revision more. */
  let floor = 1;
  /** Watches that the member has not begun with: they begin before any later write of this process. */
  const beginning = new Set<Promise<void>>();

  const check = () => {
    if (closing.signal.aborted) throw new StoreError("CLOSED", "the store is closed");
  };
  const heard = (revision = 0): number => {
    known = Math.max(known, revision);
    return revision;
  };
  const readable = (revision = 0): void => {
    if (revision > 0 && revision < floor)
      throw new StoreError("COMPACTED", `revision ${revision} has been compacted: ${floor} is the oldest`);
  };

  const askRevision = async (): Promise<number> => {
    const answer = await client.call("Range", { key: keys.everything.key, keys_only: true, limit: 1 }, "read");
    return heard(answer.header?.revision);
  };
  const newestRevision = shared(askRevision);

  const isReadable = async (revision: number): Promise<boolean> => {
    try {
      await client.call("Range", { key: keys.everything.key, keys_only: true, limit: 1, revision }, "read");
      return true;
    } catch (error) {
      if (error instanceof StoreError && error.code === "COMPACTED") return false;
      throw error;
    }
  };

  const store: Store = {
    shared: true,
    expires: true,
    async get(key, { revision = 0 } = {}) {
      check();
      readable(revision);
      const answer = await client.call("Range", { key: keys.toWire(key), revision }, "read");
      const now = heard(answer.header?.revision);
      const [item] = answer.kvs ?? [];
      return { item: item && fromWire(keys, item), revision: revision || now };
    },
    async list(prefix, listOptions: ListOptions = {}) {
      check();
      readable(listOptions.revision);
      const limit = listOptions.limit ?? 0;
      const items: KeyValue[] = [];
      let { revision = 0, after = "" } = listOptions;
      for (;;) {
        const { key, end } = keys.range(prefix, after);
        const most = limit > 0 ? limit : page;
        const answer = await client.call("Range", { key, range_end: end, limit: most, revision }, "read");
        revision ||= heard(answer.header?.revision);
        const found = answer.kvs ?? [];
        for (const item of found) items.push(fromWire(keys, item));
        if (limit > 0 || !answer.more) {
          const remaining = answer.more ? (answer.count ?? 0) - found.length : 0;
          return { items, revision, more: answer.more ?? false, remaining };
        }
        after = items.at(-1)?.key ?? after;
        check();
      }
    },
    async write(compare, operations) {
      check();
      checkOperations(operations);
      if (beginning.size > 0) await watchesBegun();
      return write(compare, operations);
    },
    watch(prefix, watchOptions = {}) {
      check();
      const { begun, batches } = watchEtcd({ ...watchOptions, client, keys, prefix, floor, closed: closing.signal });
      if (watchOptions.fromRevision === undefined) {
        const waiting = begun.finally(() => beginning.delete(waiting));
        beginning.add(waiting);
        return batches;
      }
      return watchOptions.fromRevision <= known + 1 ? batches : notInFuture(batches, watchOptions.fromRevision);
    },
    async compact(revision) {
      check();
      const head = await newestRevision();
      if (revision > head) throw new StoreError("FUTURE_REVISION", `revision ${revision} is not there yet`);
      if (revision <= 1) return;
      try {
        // etcd keeps the revision that it is told, but not what the changes of that revision replaced.
        await client.call("Compact", { revision: revision - 1 }, "read");
      } catch (error) {
        if (!(error instanceof StoreError && error.code === "COMPACTED")) throw error;
      }
      floor = Math.max(floor, revision);
    },
    async revision() {
      check();
      return newestRevision();
    },
    async compacted() {
      check();
      if (await isReadable(floor)) return floor;
      // etcd does not tell: the oldest that it still reads is searched for.
      let low = floor;
      let high = await newestRevision();
      while (high - low > 1) {
        const middle = Math.floor((low + high) / 2);
        if (await isReadable(middle)) high = middle;
        else low = middle;
      }
      floor = Math.max(floor, high + 1);
      return floor;
    },
    async close() {
      closing.abort();
      client.close();
    },
  };

  /** Throws StoreError UNAVAILABLE when no member begins with them in time. */
  async function watchesBegun(): Promise<void> {
    const done = new AbortController();
    const { timeout = 10_000 } = options;
    const late = sleep(timeout, undefined, { signal: done.signal, ref: false }).then(
      () => {
        throw new StoreError("UNAVAILABLE", "etcd cannot be reached: no member begins with a watch");
      },
      () => {},
    );
    try {
      await Promise.race([Promise.all(beginning), late]);
    } finally {
      done.abort();
    }
    check();
  }

  async function* notInFuture<T>(batches: AsyncIterable<T>, from: number): AsyncGenerator<T> {
    const head = await newestRevision();
    if (from > head + 1)
      throw new StoreError("FUTURE_REVISION", `revision ${from} is not there yet: ${head} is the newest`);
    yield* batches;
  }

  async function write(
    compare: readonly Compare[],
    operations: readonly Operation[],
    again = true,
  ): Promise<WriteResult> {
    const request = {
      compare: compare.map(({ key, modRevision }) => ({
        result: 0,
        target: 2,
        key: keys.toWire(key),
        mod_revision: modRevision,
      })),
      success: await requestsOf(keys, leases, operations),
      failure: compare.map(({ key }) => ({ request_range: { key: keys.toWire(key) } })),
    };
    const answer = await client
      .call("Txn", request, operations.length > 0 ? "write" : "read")
      .catch((error: unknown) => {
        if (again && isLeaseGone(error)) {
          leases.forget();
          return write(compare, operations, false);
        }
        return foundWritten(error, compare, operations);
      });
    if ("ok" in answer) return answer;
    const revision = heard(answer.header?.revision);
    if (answer.succeeded) return { ok: true, revision };
    return { ok: false, revision, current: failedOf(keys, compare, answer) };
  }

  /**
   * Whether a write whose answer was lost has happened. Only of objects that came into being can it be told: the others' values may be
   * somebody else's. Throws `error` when it stays unknown.
   */
  async function foundWritten(
    error: unknown,
    compare: readonly Compare[],
    operations: readonly Operation[],
  ): Promise<WriteResult> {
    if (!(error instanceof StoreError && error.code === "OUTCOME_UNKNOWN")) throw error;
    const isNew = new Set(compare.filter((one) => one.modRevision === 0).map((one) => one.key));
    if (!operations.every((one) => one.type === "put" && isNew.has(one.key))) throw error;
    const success = operations.map(({ key }) => ({ request_range: { key: keys.toWire(key) } }));
    for (let look = 0; look < looks && !closing.signal.aborted; look++) {
      const answer = await client.call("Txn", { success }, "read").catch(() => undefined);
      const items = (answer?.responses ?? []).map((one) => one.response_range?.kvs?.[0]);
      const revision = items[0]?.mod_revision ?? 0;
      const written = operations.every((operation, i) => {
        const item = items[i];
        if (operation.type !== "put" || item?.mod_revision !== revision || item.create_revision !== revision)
          return false;
        return Buffer.compare(item.value ?? new Uint8Array(0), operation.value) === 0;
      });
      if (written && revision > 0) return { ok: true, revision: heard(revision) };
      await sleep(lookEvery, undefined, { signal: closing.signal }).catch(() => {});
    }
    throw error;
  }

  if (options.signal?.aborted) await store.close();
  options.signal?.addEventListener("abort", () => void store.close(), { once: true });
  if (!closing.signal.aborted) {
    await askRevision().catch((error: unknown) => {
      client.close();
      throw error;
    });
  }
  return store;
}

async function requestsOf(keys: KeyMap, leases: Leases, operations: readonly Operation[]): Promise<RequestOp[]> {
  const requests: RequestOp[] = [];
  for (const operation of operations) {
    const key = keys.toWire(operation.key);
    if (operation.type === "delete") requests.push({ request_delete_range: { key } });
    else {
      const { value, lifetime } = operation;
      const lease = lifetime === undefined ? {} : { lease: await leases.lasting(lifetime) };
      requests.push({ request_put: { key, value, ...lease } });
    }
  }
  return requests;
}

/** What is there of each comparison that failed. */
function failedOf(
  keys: KeyMap,
  compare: readonly Compare[],
  { responses = [] }: TxnResponse,
): ReadonlyMap<string, KeyValue | undefined> {
  const current = new Map<string, KeyValue | undefined>();
  for (const [i, { key, modRevision }] of compare.entries()) {
    const [item] = responses[i]?.response_range?.kvs ?? [];
    if ((item?.mod_revision ?? 0) !== modRevision) current.set(key, item && fromWire(keys, item));
  }
  return current;
}

/** Somebody revoked it: nothing was written. */
function isLeaseGone(error: unknown): boolean {
  return error instanceof StoreError && error.message.includes("requested lease not found");
}

const empty = new Uint8Array(0);

function fromWire(keys: KeyMap, item: WireKeyValue): KeyValue {
  return {
    key: keys.fromWire(item.key ?? empty) ?? "",
    value: item.value ?? empty,
    modRevision: item.mod_revision ?? 0,
    createRevision: item.create_revision ?? 0,
  };
}

/** One question at a time: who asks while one is on its way shares the next, since the answer must be of after the asking. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  let next: Promise<T> | undefined;
  const start = (): Promise<T> => {
    next = undefined;
    const asked = ask().finally(() => {
      if (running === asked) running = undefined;
    });
    running = asked;
    return asked;
  };
  return () => {
    if (!running) return start();
    next ??= running.then(start, start);
    return next;
  };
}
