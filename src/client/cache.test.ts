import { expect, test } from "vitest";
import type { ConfigMap } from "../kube/index.ts";
import { createCache } from "./cache.ts";

const map = (name: string, resourceVersion: string, labels: Record<string, string> = {}, uid = name): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { namespace: "a", name, uid, resourceVersion, labels },
});
const labelIndex = { label: ({ metadata }: ConfigMap) => Object.keys(metadata.labels ?? {}) };

test("each method says what it changed, and the same version changes nothing", () => {
  const cache = createCache<ConfigMap>();
  const [one, two, other] = [map("x", "1"), map("x", "2"), map("x", "3", {}, "other")];
  expect(cache.set(one)).toEqual([{ after: one }]);
  expect(cache.set(map("x", "1"))).toEqual([]);
  expect(cache.set(two)).toEqual([{ before: one, after: two }]);
  expect(cache.set(other)).toEqual([{ before: two }, { after: other }]);
  expect(cache.replace([map("y", "4")])).toEqual([{ after: map("y", "4") }, { before: other }]);
  expect(cache.delete(one)).toEqual([]);
  expect(cache.list("a").map(({ metadata }) => metadata.name)).toEqual(["y"]);
});

test("indexes follow, those added later too, and an unknown one is an error", () => {
  const cache = createCache<ConfigMap>(labelIndex);
  cache.set(map("x", "1", { p: "", q: "" }));
  cache.set(map("x", "2", { q: "" }));
  expect([cache.by("label", "p").length, cache.by("label", "q").length]).toEqual([0, 1]);
  cache.addIndex("name", ({ metadata }) => [metadata.name]);
  expect(cache.by("name", "x")).toHaveLength(1);
  cache.delete(map("x", "3"));
  expect([cache.by("label", "q"), cache.by("name", "x")]).toEqual([[], []]);
  expect(() => cache.by("nothing", "x")).toThrow('there is no index "nothing"');
});
