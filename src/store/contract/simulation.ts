import { expect } from "vitest";
import { compareKeys } from "../keys.ts";
import type { KeyValue, Operation, Store, StoreEvent } from "../store.ts";
import type { Traits } from "./support.ts";

interface Entry {
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
}
type State = ReadonlyMap<string, Entry>;

/**
 * Runs so many random calls on an empty store and on a plain model (a map for every revision), and expects the same answers.
 * At the end a watcher that followed from the start, and one from each kept revision, must have seen exactly what the model says.
 */
export async function simulate(store: Store, seed: number, { steps, ordered }: Traits): Promise<void> {
  const random = randomNumbers(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const keys = ["/p/a", "/p/b", "/p/b/c", "/p/ä", "/q/a", "/q/b", "/q/😀", "/r"];
  const states: State[] = [new Map(), new Map()];
  const newest = () => states.length - 1;
  let oldest = 1;

  let finalRevision = -1;
  const followed: string[] = [];
  const follower = (async () => {
    for await (const batch of store.watch("/")) {
      followed.push(...batch.events.map(describeEvent));
      if (batch.revision === finalRevision) break;
    }
  })();

  const writeOne = async (): Promise<void> => {
    const chosen = keys.filter(() => random() < 0.3);
    const operations = chosen.map((key): Operation => {
      return random() < 0.3 ? { type: "delete", key } : { type: "put", key, value: Buffer.from(String(random())) };
    });
    const state = states[newest()] as State;
    const compare = keys
      .filter(() => random() < 0.15)
      .map((key) => ({
        key,
        modRevision: random() < 0.8 ? (state.get(key)?.modRevision ?? 0) : Math.floor(random() * 5),
      }));
    const wrong = compare.filter(({ key, modRevision }) => (state.get(key)?.modRevision ?? 0) !== modRevision);
    const next = new Map(state);
    const revision = newest() + 1;
    for (const operation of operations) {
      if (operation.type === "delete") next.delete(operation.key);
      else {
        const createRevision = state.get(operation.key)?.createRevision ?? revision;
        next.set(operation.key, { value: textOf(operation.value), createRevision, modRevision: revision });
      }
    }
    const changes = operations.some((operation) => operation.type === "put" || state.has(operation.key));
    if (wrong.length === 0 && changes) states.push(next);
    // The model has moved on before the store answers, so writes issued together are compared in order.
    const expected = newest();
    const result = await store.write(compare, operations);
    expect([result.ok, result.revision]).toEqual([wrong.length === 0, expected]);
    if (!result.ok) {
      const current = [...result.current].map(([key, item]) => [key, item && entryOf(item)]);
      expect(current).toEqual(wrong.map(({ key }) => [key, state.get(key)]));
    }
  };

  const readOne = async (): Promise<void> => {
    const revision = random() < 0.5 ? 0 : oldest + Math.floor(random() * (newest() - oldest + 1));
    const prefix = pick(["", "/", "/p/", "/q/", "/p/b", "/none"]);
    const after = random() < 0.5 ? "" : pick(keys);
    const limit = Math.floor(random() * 4);
    const state = states[revision || newest()] as State;
    const inRange = [...state].filter(([key]) => key.startsWith(prefix) && compareKeys(key, after) > 0);
    inRange.sort(([a], [b]) => compareKeys(a, b));
    const page = limit > 0 ? inRange.slice(0, limit) : inRange;
    const list = await store.list(prefix, { after, limit, revision });
    expect(list.items.map((item) => [item.key, entryOf(item)])).toEqual(page);
    expect(list).toMatchObject({
      revision: revision || newest(),
      more: page.length < inRange.length,
      remaining: inRange.length - page.length,
    });
    const key = pick(keys);
    const { item } = await store.get(key, { revision });
    expect(item && entryOf(item)).toEqual(state.get(key));
  };

  for (let step = 0; step < steps; step++) {
    const what = random();
    if (what < 0.45) await writeOne();
    else if (what < 0.55 && ordered) await Promise.all(Array.from({ length: 5 }, writeOne));
    else if (what < 0.55) for (let i = 0; i < 5; i++) await writeOne();
    else if (what < 0.98) await readOne();
    else if (newest() - oldest > 40) {
      oldest = newest() - 20;
      // Whoever keeps up must not be harmed by compaction.
      await new Promise((resolve) => setImmediate(resolve));
      await store.compact(oldest);
    }
  }
  finalRevision = newest() + 1;
  await store.write([], [{ type: "put", key: "/end", value: Buffer.from("end") }]);
  const end = { value: "end", createRevision: finalRevision, modRevision: finalRevision };
  states.push(new Map([...(states[finalRevision - 1] as State), ["/end", end]]));
  await follower;
  expect(followed).toEqual(eventsBetween(states, 2));
  for (let from = oldest; from <= finalRevision; from += 7) {
    const seen: string[] = [];
    for await (const batch of store.watch("/", { fromRevision: from })) {
      seen.push(...batch.events.map(describeEvent));
      if (batch.revision === finalRevision) break;
    }
    expect(seen).toEqual(eventsBetween(states, from));
  }
}

/** What a watch from revision `from` must deliver. Within a revision: in the order of the operations, which here is key order. */
function eventsBetween(states: readonly State[], from: number): string[] {
  const events: string[] = [];
  for (let revision = from; revision < states.length; revision++) {
    const before = states[revision - 1] as State;
    const after = states[revision] as State;
    const keys = [...new Set([...before.keys(), ...after.keys()])].sort(compareKeys);
    for (const key of keys) {
      const [old, now] = [before.get(key), after.get(key)];
      if (old?.modRevision !== now?.modRevision) events.push(`${revision} ${key} ${old?.value} -> ${now?.value}`);
    }
  }
  return events;
}

function describeEvent({ revision, key, previous, value }: StoreEvent): string {
  return `${revision} ${key} ${previous && textOf(previous.value)} -> ${value && textOf(value)}`;
}

function entryOf({ value, createRevision, modRevision }: KeyValue): Entry {
  return { value: textOf(value), createRevision, modRevision };
}

function textOf(value: Uint8Array): string {
  return Buffer.from(value).toString();
}

/** mulberry32: the same numbers for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
