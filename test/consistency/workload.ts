import { setTimeout as sleep } from "node:timers/promises";
import type { Action, Change, History, Listed, Operation, Outcome, Seen, Watched } from "./history.ts";

/** What the clients of a run talk to. Methods throw when the outcome is not known. */
export interface Api {
  act(key: string, action: Action): Promise<Outcome>;
  list(): Promise<{ version: number; items: ReadonlyMap<string, Seen> }>;
  /** Changes after `from`, and progress without one. Ends or throws when the connection does. */
  watch(
    from: number,
    signal: AbortSignal,
  ): AsyncIterable<Change | { readonly version: number; readonly key?: undefined }>;
}

export interface WorkloadOptions {
  /** One for each client: they may lead to different servers. */
  readonly apis: readonly Api[];
  readonly watchers: number;
  readonly keys: number;
  readonly seed: number;
  /** Clients act until this settles. */
  readonly until: Promise<unknown>;
  /** Milliseconds between two actions of a client. */
  readonly pause: number;
}

/** Made when all else is done: who has seen it has seen everything. */
const lastKey = "the-end";

/** Lets clients act at random on a few keys, and writes down what they are told. */
export async function runWorkload({ apis, watchers, keys, seed, until, pause }: WorkloadOptions): Promise<History> {
  const operations: Operation[] = [];
  const lists: Listed[] = [];
  let over = false;
  void until.finally(() => {
    over = true;
  });
  const [first] = apis;
  if (!first) throw new Error("a run needs a client");
  const begin = await untilAnswered(() => first.list());
  const stop = new AbortController();
  const watches = Array.from({ length: watchers }, (_, i) => {
    const changes: Change[] = [];
    const watch = { from: begin.version, changes, progress: begin.version };
    return { ...watch, done: follow(apis, i, watch, stop.signal), watch };
  });

  const client = async (api: Api, number: number): Promise<void> => {
    const random = randomNumbers(seed * 1000 + number);
    const known = new Map<string, number>();
    for (let count = 0; !over; count++) {
      const key = `key-${Math.floor(random() * keys)}`;
      const begun = performance.now();
      if (random() < 0.03) {
        const listed = await api.list().catch(() => undefined);
        if (listed) lists.push({ client: number, begun, ended: performance.now(), ...listed });
        continue;
      }
      const action = choose(random, `${number}-${count}`, known.get(key));
      const outcome = await api.act(key, action).catch((): Outcome => ({ type: "unknown" }));
      operations.push({ key, client: number, action, begun, ended: performance.now(), outcome });
      if (outcome.type === "ok" && action.type !== "delete") known.set(key, outcome.seen.version);
      else known.delete(key);
      if (pause > 0 || outcome.type === "unknown") await sleep(outcome.type === "unknown" ? 20 : random() * 2 * pause);
    }
  };
  const broken = Promise.all(watches.map(({ done }) => done)).then(() => new Promise<never>(() => {}));
  await Promise.race([Promise.all(apis.map(client)), broken]);

  // What is in doubt has happened by now or never will: members answer within seconds.
  await sleep(operations.some(({ outcome }) => outcome.type === "unknown") ? 2000 : 0);
  const marked = performance.now();
  const marker = await untilAnswered(async () => {
    const outcome = await first.act(lastKey, { type: "create", token: lastKey });
    return outcome.type === "exists" ? first.act(lastKey, { type: "get" }) : outcome;
  });
  if (marker.type !== "ok") throw new Error(`the last object could not be made: ${marker.type}`);
  const end: Listed = { client: -1, begun: marked, ended: Infinity, ...(await untilAnswered(() => first.list())) };
  for (const { watch } of watches) while (watch.progress < marker.seen.version) await sleep(10);
  stop.abort();
  await Promise.all(watches.map(({ done }) => done));
  const told: Watched[] = watches.map(({ from, changes }) => ({ from, changes }));
  return { operations, lists, watches: told, end };
}

function choose(random: () => number, token: string, base: number | undefined): Action {
  const what = random();
  if (what < 0.35) return { type: "get" };
  if (base !== undefined && what < 0.8) return { type: "update", token, base };
  return what < 0.88 ? { type: "create", token } : { type: "delete" };
}

/** A watch that goes on after its last change wherever it can, as informers do. */
async function follow(
  apis: readonly Api[],
  number: number,
  watch: { changes: Change[]; progress: number },
  signal: AbortSignal,
): Promise<void> {
  for (let turn = number; !signal.aborted; turn++) {
    try {
      for await (const change of (apis[turn % apis.length] as Api).watch(watch.progress, signal)) {
        if (change.key !== undefined) watch.changes.push(change);
        watch.progress = Math.max(watch.progress, change.version);
      }
    } catch (error) {
      if (error instanceof WatchError) throw error;
    }
    await sleep(20);
  }
}

/** The server refused the watch for good: the run is to fail. */
export class WatchError extends Error {}

async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 300) throw error;
      await sleep(100);
    }
  }
}

/** Small, and the same in every run. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
