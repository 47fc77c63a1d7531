import { expect, it } from "vitest";
import { createMemoryStore, StoreError, type Store } from "../store/index.ts";
import { watchStore } from "./store-health.ts";

const put = (store: Store): Promise<unknown> =>
  store.write([], [{ type: "put", key: "/a", value: Buffer.from("1") }]).catch(() => undefined);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it("is well while the store answers and takes writes", async () => {
  const inner = createMemoryStore();
  const { store, problem } = watchStore(inner);
  await put(store);
  expect(problem()).toBeUndefined();
  await turn();
  expect(problem()).toBeUndefined();
  await inner.close();
});

it("tells of refused writes until one is taken, and not of a request's own fault", async () => {
  const inner = createMemoryStore();
  let code: "NO_SPACE" | "TOO_LARGE" | undefined = "TOO_LARGE";
  const { store, problem } = watchStore({
    ...inner,
    write: (...given) => (code ? Promise.reject(new StoreError(code, "no room")) : inner.write(...given)),
  });
  await put(store);
  expect(problem()).toBeUndefined();
  code = "NO_SPACE";
  await put(store);
  expect(problem()).toBe("the store refuses writes: no room");
  code = undefined;
  await put(store);
  expect(problem()).toBeUndefined();
  await inner.close();
});

it("tells of a store that can not be reached, or does not answer", async () => {
  const inner = createMemoryStore();
  let answer: () => Promise<number> = () => Promise.reject(new StoreError("UNAVAILABLE", "no endpoint"));
  let time = 0;
  const { problem } = watchStore({ ...inner, revision: () => answer() }, () => time);
  problem();
  await turn();
  expect(problem()).toBe("the store can not be reached: no endpoint");
  await turn();
  let late: (revision: number) => void = () => {};
  answer = () => new Promise((resolve) => (late = resolve));
  problem();
  time = 2_500;
  expect(problem()).toBe("the store does not answer");
  late(1);
  await turn();
  answer = () => Promise.resolve(1);
  expect(problem()).toBeUndefined();
  await inner.close();
});
