import { setTimeout as sleep } from "node:timers/promises";
import { StoreError, type StoreEvent, type WatchBatch, type WatchOptions } from "../store.ts";
import type { EtcdClient, WatchStream } from "./client.ts";
import { GrpcError, storeError } from "./errors.ts";
import type { Event, KeyValue as WireKeyValue, WatchResponse } from "./generated/messages.ts";
import type { KeyMap } from "./keys.ts";

/** Answers of the member that wait to be taken before the stream is paused. */
const queueLimit = 64;
/** Events that are taken at once, unless one answer alone has more. */
const batchEvents = 500;
/** Milliseconds between two tries to open a watch again: the first, and at most. */
const patience = { first: 20, most: 1000 };

export interface EtcdWatchOptions extends WatchOptions {
  readonly client: EtcdClient;
  readonly keys: KeyMap;
  readonly prefix: string;
  /** The oldest revision that a watch may begin at, as far as this process knows. */
  readonly floor: number;
  /** Aborts when the store is closed. */
  readonly closed: AbortSignal;
}

export interface EtcdWatch {
  readonly batches: AsyncIterable<WatchBatch>;
  /** Settles when the member has begun with the watch, or the watch has failed. */
  readonly begun: Promise<void>;
}

/**
 * A watch that outlives members: when its stream ends it is opened on another one at the revision after the last delivered.
 *
 * It is a watch of all keys, of which others than the prefix's are left out here. So every revision comes as an event, and how far
 * the watch is needs no word of etcd's: its progress notes may overtake events (etcd before 3.4.25 and 3.5.8).
 */
export function watchEtcd({ client, keys, prefix, floor, closed, ...options }: EtcdWatchOptions): EtcdWatch {
  const { fromRevision, previous = true, signal } = options;
  /** The next revision that is to come; 0: where the watch begins is for the member to say. */
  let place = fromRevision ?? 0;
  let delivered = false;
  let over = false;
  let failure: StoreError | undefined;
  const queue: Event[][] = [];
  let fragments: Event[] = [];
  let stream: WatchStream | undefined;
  let paused = false;
  let wake: () => void = () => {};
  let begin: () => void = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const stop = new AbortController();

  const end = (error?: StoreError): void => {
    if (over) return;
    over = true;
    failure = error;
    stop.abort();
    stream?.close();
    signal?.removeEventListener("abort", aborted);
    closed.removeEventListener("abort", aborted);
    begin();
    wake();
  };
  const aborted = (): void => end();
  if (signal?.aborted || closed.aborted) end();
  else if (fromRevision !== undefined && fromRevision < floor) end(compacted(floor));
  else {
    signal?.addEventListener("abort", aborted, { once: true });
    closed.addEventListener("abort", aborted, { once: true });
    void run();
  }

  return { begun, batches: { [Symbol.asyncIterator]: iterate } };

  function compacted(revision: number): StoreError {
    return delivered || fromRevision === undefined
      ? new StoreError("SLOW_WATCHER", `the watch of ${prefix} fell behind: its place ${place} has been compacted`)
      : new StoreError("COMPACTED", `revision ${fromRevision} has been compacted: ${revision} is the oldest`);
  }

  /** One stream after the other. */
  async function run(): Promise<void> {
    let wait = patience.first;
    while (!over) {
      const begin = place;
      try {
        await runStream();
      } catch (error) {
        if (over) return;
        const problem = error instanceof GrpcError ? storeError(error, false) : (error as Error);
        if (!(problem instanceof StoreError) || problem.code !== "UNAVAILABLE")
          return end(problem instanceof StoreError ? problem : new StoreError("UNAVAILABLE", problem.message));
      }
      wait = place > begin ? patience.first : Math.min(wait * 2, patience.most);
      await sleep(wait, undefined, { signal: stop.signal }).catch(() => {});
    }
  }

  /** Throws what the stream ended with. */
  function runStream(): Promise<never> {
    return new Promise((_, reject) => {
      fragments = [];
      client
        .watch({
          message(response) {
            if (!over) take(response);
          },
          ended: reject,
        })
        .then((opened) => {
          stream = opened;
          paused = false;
          if (over) return opened.close();
          const { key, end: rangeEnd } = keys.everything;
          opened.send({
            create_request: {
              key,
              range_end: rangeEnd,
              ...(place > 0 ? { start_revision: place } : {}),
              prev_kv: previous,
              fragment: true,
            },
          });
          return undefined;
        }, reject);
    });
  }

  function take(response: WatchResponse): void {
    if (response.canceled) {
      if (response.compact_revision) return end(compacted(response.compact_revision + 1));
      const why = response.cancel_reason ?? "";
      if (why.includes("permission denied"))
        return end(
          new StoreError("DENIED", "etcd refuses the watch: the store's user must be allowed to read all keys"),
        );
      stream?.close();
      return;
    }
    if (response.created) {
      if (place === 0) place = (response.header?.revision ?? 0) + 1;
      begin();
      return;
    }
    const events = response.events ?? [];
    if (response.fragment) {
      fragments.push(...events);
      return;
    }
    const all = fragments.length > 0 ? [...fragments, ...events] : events;
    fragments = [];
    const last = all.at(-1)?.kv?.mod_revision;
    if (last === undefined || last < place) return;
    queue.push(all as Event[]);
    place = last + 1;
    if (queue.length >= queueLimit && !paused) {
      paused = true;
      stream?.pause();
    }
    wake();
  }

  async function* iterate(): AsyncGenerator<WatchBatch, undefined> {
    try {
      for (;;) {
        const batch = over && !failure ? undefined : nextBatch();
        if (batch) {
          delivered = true;
          yield batch;
          continue;
        }
        if (over) {
          if (failure) throw failure;
          return undefined;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      end();
    }
  }

  function nextBatch(): WatchBatch | undefined {
    const events: StoreEvent[] = [];
    let revision = 0;
    for (let answer = queue[0]; answer && events.length < batchEvents; answer = queue[0]) {
      queue.shift();
      for (const event of answer) {
        const made = eventOf(event);
        if (made) events.push(made);
        revision = event.kv?.mod_revision ?? revision;
      }
    }
    if (paused && queue.length < queueLimit / 2) {
      paused = false;
      stream?.resume();
    }
    return revision > 0 ? { events, revision } : undefined;
  }

  function eventOf({ type, kv, prev_kv }: Event): StoreEvent | undefined {
    const key = kv?.key && keys.fromWire(kv.key);
    if (!kv || key === undefined || !key.startsWith(prefix)) return undefined;
    const before = prev_kv ? { previous: keyValueOf(key, prev_kv) } : {};
    const { mod_revision: revision = 0, value = empty } = kv;
    return type === 1 ? { type: "delete", key, revision, ...before } : { type: "put", key, revision, value, ...before };
  }
}

const empty = new Uint8Array(0);

function keyValueOf(key: string, { value = empty, mod_revision = 0, create_revision = 0 }: WireKeyValue) {
  return { key, value, modRevision: mod_revision, createRevision: create_revision };
}
