import { parentPort, workerData } from "node:worker_threads";
import { check } from "./check.ts";
import { inputsOf } from "./corpus.ts";
import { mostBytes, mutate } from "./mutate.ts";
import { randomFrom } from "./random.ts";
import { targets } from "./targets/index.ts";

/** What a worker is told: which target, where it begins, and where it leaves the input that it is at. */
export interface Work {
  readonly target: string;
  readonly seed: number;
  /** Milliseconds. */
  readonly duration: number;
  readonly corpus: string;
  /** Number of the input (4 bytes), its length (4), its bytes. */
  readonly shared: SharedArrayBuffer;
}

/** What a worker says: something broke, or an input has an outcome that none had before. */
export type Found =
  | { readonly type: "broken"; readonly input: Uint8Array; readonly error: string }
  | { readonly type: "new"; readonly input: Uint8Array; readonly outcome: string }
  | { readonly type: "done"; readonly runs: number; readonly outcomes: number };

/** Inputs that are changed further at most; older ones make room. */
const mostInputs = 2000;
/** Outcomes that are remembered at most: where each input has one of its own, they tell nothing new after so many. */
const mostOutcomes = 50_000;

const { target: name, seed, duration, corpus, shared } = workerData as Work;
const target = targets.find((one) => one.name === name);
if (!target) throw new Error(`no target ${name}`);
const random = randomFrom(seed);
const numbers = new Int32Array(shared, 0, 2);
const place = new Uint8Array(shared, 8);
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of a thread has no origin
const tell = (found: Found): void => parentPort?.postMessage(found);

const pool = await inputsOf(corpus, target);
const outcomes = new Set<string>();
const errors = new Set<string>();
let runs = 0;

async function attempt(input: Buffer, isNew: boolean): Promise<void> {
  if (!target) return;
  place.set(input.subarray(0, place.length));
  numbers[1] = input.length;
  Atomics.add(numbers, 0, 1);
  runs++;
  try {
    const outcome = await check(target, input);
    if (outcomes.has(outcome) || outcomes.size >= mostOutcomes) return;
    outcomes.add(outcome);
    if (!isNew) return;
    pool.push(input);
    if (pool.length > mostInputs) pool.splice(random.below(pool.length), 1);
    tell({ type: "new", input, outcome });
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const place = text.split("\n").slice(0, 3).join("\n").replace(/\d+/g, "0");
    if (errors.has(place) || errors.size > 50) return;
    errors.add(place);
    tell({ type: "broken", input, error: text.slice(0, 2000) });
  }
}

for (const input of pool) await attempt(input, false);
// The time is the worker's own: what else the machine does is not counted against it.
const end = performance.now() + duration;
while (performance.now() < end) {
  const input = mutate(random.pick(pool), target.form, random, pool, target.words ?? []);
  if (input.length <= mostBytes) await attempt(input, true);
  // Timers and streams of the target get their turn.
  if (runs % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
}
tell({ type: "done", runs, outcomes: outcomes.size });
