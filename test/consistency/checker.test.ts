import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createMemoryStore, type KeyValue, type Store } from "../../src/store/index.ts";
import { check } from "./checker.ts";
import type { History, Operation } from "./history.ts";
import { storeApi } from "./store-api.ts";
import { runWorkload } from "./workload.ts";

/** Answers take a while, so that operations overlap. */
function slow(store: Store): Store {
  const wait = () => sleep(Math.random() * 2);
  return {
    ...store,
    async get(key, options) {
      await wait();
      const result = await store.get(key, options);
      await wait();
      return result;
    },
    async write(compare, operations) {
      await wait();
      const result = await store.write(compare, operations);
      await wait();
      return result;
    },
  };
}

async function run(store: Store): Promise<History> {
  const history = await runWorkload({
    apis: Array.from({ length: 6 }, () => storeApi(slow(store))),
    watchers: 2,
    keys: 3,
    seed: 1,
    until: sleep(400),
    pause: 0,
  });
  expect(history.operations.length).toBeGreaterThan(100);
  await store.close();
  return history;
}

test("a sound store has nothing to be found", async () => {
  expect(check(await run(createMemoryStore()))).toEqual([]);
});

test("a store that now and then reads what was before is found", async () => {
  const store = createMemoryStore();
  let reads = 0;
  const before = new Map<string, KeyValue | undefined>();
  const broken: Store = {
    ...store,
    async get(key, options) {
      const result = await store.get(key, options);
      const old = before.get(key);
      before.set(key, result.item);
      return ++reads % 10 === 0 && old ? { ...result, item: old } : result;
    },
  };
  expect(check(await run(broken)).join("\n")).toContain("have no order");
});

test("a store that forgets a comparison is found", async () => {
  const store = createMemoryStore();
  let writes = 0;
  const broken: Store = {
    ...store,
    write: (compare, operations) => store.write(++writes % 20 === 0 ? [] : compare, operations),
  };
  expect(check(await run(broken)).join("\n")).toContain("have no order");
});

test("a store that acknowledges what it does not write is found", async () => {
  const store = createMemoryStore();
  let writes = 0;
  const broken: Store = {
    ...store,
    async write(compare, operations) {
      if (++writes % 20 !== 0) return store.write(compare, operations);
      return { ok: true, revision: (await store.revision()) + 1 };
    },
  };
  const problems = check(await run(broken)).join("\n");
  expect(problems).toContain("have no order");
  expect(problems).toContain("no watch told of it");
});

test("a watch that leaves a change out or turns two round is found", async () => {
  const history = await run(createMemoryStore());
  const [watch, other] = history.watches;
  if (!watch || !other) throw new Error("there were two watches");
  const without = watch.changes.filter((_, i) => i !== 5);
  expect(check({ ...history, watches: [{ ...watch, changes: without }, other] }).join("\n")).toContain("was left out");
  const [a, b, ...rest] = watch.changes;
  if (!a || !b) throw new Error("there were changes");
  const turned = check({ ...history, watches: [{ ...watch, changes: [b, a, ...rest] }, other] });
  expect(turned.join("\n")).toContain(`version ${a.version} of ${a.key} after ${b.version}`);
});

test("a list that mixes two versions is found", async () => {
  const history = await run(createMemoryStore());
  const [list] = history.lists.filter(({ items }) => items.size > 0);
  if (!list) throw new Error("there was a list");
  const [gone] = list.items.keys();
  const items = new Map([...list.items].filter(([key]) => key !== gone));
  expect(check({ ...history, lists: [{ ...list, items }] }).join("\n")).toContain("by the changes");
});

test("a write of unknown outcome may have happened late, once, or not at all", () => {
  const at = (begun: number, ended: number, action: Operation["action"], outcome: Operation["outcome"]): Operation => ({
    key: "a",
    client: 0,
    action,
    begun,
    ended,
    outcome,
  });
  const get = { type: "get" } as const;
  const seen = (token: string, version: number) => ({ type: "ok", seen: { token, version } }) as const;
  const end = (token: string | undefined, version: number) => ({
    client: -1,
    begun: 90,
    ended: 91,
    version: 9,
    items: new Map(token === undefined ? [] : [["a", { token, version }]]),
  });
  const doubtful = at(1, 2, { type: "create", token: "x" }, { type: "unknown" });
  const history = (
    operations: Operation[],
    last: ReturnType<typeof end>,
    changes: History["watches"][number]["changes"],
  ) => check({ operations, lists: [], watches: [{ from: 1, changes }], end: last });
  const made = { version: 5, key: "a", token: "x" };
  expect(history([doubtful], end(undefined, 0), [])).toEqual([]);
  expect(history([doubtful, at(3, 4, get, { type: "absent" })], end("x", 5), [made])).toEqual([]);
  expect(history([doubtful, at(3, 4, get, seen("x", 5))], end("x", 5), [made])).toEqual([]);
  const lost = history([doubtful, at(3, 4, get, seen("x", 5)), at(5, 6, get, { type: "absent" })], end("x", 5), [made]);
  expect(lost.join("\n")).toContain("have no order");
});
