import { expect } from "vitest";
import { maxValueBytes } from "../keys.ts";
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

/** What the suite must know of a store. */
export interface Traits {
  /** Bytes of the largest value that it takes. */
  readonly largest: number;
  /** Writes issued together by one process are decided in that order. */
  readonly ordered: boolean;
  /** Steps of a random run. */
  readonly steps: number;
}

export const embedded: Traits = { largest: maxValueBytes, ordered: true, steps: 400 };

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
