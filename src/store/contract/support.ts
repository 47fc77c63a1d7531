import { expect } from "vitest";
import {
  StoreError,
  type ListOptions,
  type Operation,
  type Store,
  type StoreErrorCode,
  type StoreEvent,
  type WatchBatch,
} from "../store.ts";

/** What the tests of the contract use of the store they are run on, which is a new one for each test. */
export interface Subject {
  readonly store: Store;
  /** Both return the revision. */
  put(key: string, value: string): Promise<number>;
  remove(key: string): Promise<number>;
  /** `key=value` of each key. */
  keysOf(prefix: string, options?: ListOptions): Promise<string[]>;
}

export function subjectOf(store: Store): Subject {
  return {
    store,
    put: async (key, value) => (await store.write([], [putOf(key, value)])).revision,
    remove: async (key) => (await store.write([], [{ type: "delete", key }])).revision,
    keysOf: async (prefix, options = {}) =>
      (await store.list(prefix, options)).items.map((item) => `${item.key}=${text(item.value)}`),
  };
}

export function putOf(key: string, value: string): Operation {
  return { type: "put", key, value: Buffer.from(value) };
}

export function text(value: Uint8Array | undefined): string | undefined {
  return value && Buffer.from(value).toString();
}

/** The first `count` events of a watch. */
export async function collect(watch: AsyncIterable<WatchBatch>, count: number): Promise<StoreEvent[]> {
  const events: StoreEvent[] = [];
  for await (const batch of watch) {
    events.push(...batch.events);
    if (events.length >= count) break;
  }
  return events;
}

export async function fails(code: StoreErrorCode, promise: Promise<unknown>): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreError);
  expect(error).toMatchObject({ code });
}
