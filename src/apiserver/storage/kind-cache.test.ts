import { describe, expect, it } from "vitest";
import { resources, type KubeObject } from "../../kube/index.ts";
import { keyFor, prefixFor, storedBytes, type Entry } from "./entry.ts";
import { createKindCache, type KindCache } from "./kind-cache.ts";
import type { Watcher } from "./watcher.ts";

const { Pod } = resources;

function setUp(): {
  cache: KindCache;
  readonly put: (name: string, labels?: Record<string, string>) => void;
  readonly drop: (name: string) => void;
} {
  let revision = 0;
  const cache = createKindCache(Pod);
  const key = (name: string): string => keyFor(Pod, { namespace: "n", name });
  const object = (name: string, labels: Record<string, string>): KubeObject => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "n", labels },
  });
  return {
    cache,
    put: (name, labels = {}) => cache.apply(key(name), ++revision, storedBytes(Pod, object(name, labels))),
    drop: (name) => cache.apply(key(name), ++revision, undefined),
  };
}

const all = (): boolean => true;
const isWeb = (entry: Entry): boolean => entry.object.metadata.labels?.["app"] === "web";

function follow(cache: KindCache, from: number, selects: (entry: Entry) => boolean): Watcher {
  const watcher = cache.follow(from, selects);
  if (watcher === "expired") throw new Error("expired");
  return watcher;
}

function taken(watcher: Watcher): string[] {
  const seen: string[] = [];
  for (let next = watcher.take(); next; next = watcher.take())
    seen.push(`${next.type} ${next.entry.object.metadata.name}@${next.entry.object.metadata.resourceVersion}`);
  return seen;
}

describe("kind cache", () => {
  it("keeps objects in order of their keys", () => {
    const { cache, put, drop } = setUp();
    for (const name of ["m", "a", "z", "b"]) put(name);
    drop("m");
    const names = (after?: string): string[] =>
      cache
        .under(prefixFor(Pod, "n"), after && keyFor(Pod, { namespace: "n", name: after }))
        .map((e) => e.object.metadata.name);
    expect(names()).toEqual(["a", "b", "z"]);
    expect(names("a")).toEqual(["b", "z"]);
    expect(cache.under(prefixFor(Pod, "other"))).toEqual([]);
  });

  it("shows a watcher with a selector what enters and leaves it", () => {
    const { cache, put, drop } = setUp();
    const watcher = follow(cache, 0, isWeb);
    put("p", { app: "web" });
    put("p", { app: "web", more: "1" });
    put("p", { app: "db" });
    put("p", { app: "db", more: "1" });
    put("p", { app: "web" });
    drop("p");
    expect(taken(watcher)).toEqual(["ADDED p@1", "MODIFIED p@2", "DELETED p@3", "ADDED p@5", "DELETED p@6"]);
  });

  it("gives the object as it last was when it left a selector", () => {
    const { cache, put } = setUp();
    const watcher = follow(cache, 0, isWeb);
    put("p", { app: "web" });
    put("p", { app: "db" });
    watcher.take();
    expect(watcher.take()?.entry.object.metadata).toMatchObject({ labels: { app: "web" }, resourceVersion: "2" });
  });

  it("goes on from an old revision without a gap", () => {
    const { cache, put } = setUp();
    for (const name of ["a", "b", "c"]) put(name);
    const watcher = follow(cache, 1, all);
    put("d");
    expect(taken(watcher)).toEqual(["ADDED b@2", "ADDED c@3", "ADDED d@4"]);
  });

  it("remembers a bounded number of changes and says when an older one is asked for", () => {
    const { cache, put } = setUp();
    for (let i = 0; i < 5000; i++) put("p", { i: String(i) });
    expect(cache.follow(1, all)).toBe("expired");
    expect(cache.horizon).toBeGreaterThan(0);
    expect(taken(follow(cache, 4990, all))).toHaveLength(10);
  });

  it("remembers less of large objects, but never less than a hundred changes", () => {
    const { cache, put } = setUp();
    for (let i = 0; i < 300; i++) put("p", { i: String(i).padEnd(100_000, "x") });
    expect(cache.follow(150, all)).toBe("expired");
    expect(taken(follow(cache, 200, all))).toHaveLength(100);
  });

  it("ends a watcher that is too slow, and holds nothing for it", () => {
    const { cache, put } = setUp();
    const watcher = follow(cache, 0, all);
    for (let i = 0; i < 10_000; i++) put("p", { i: String(i) });
    expect(watcher.ended).toBe("slow");
    expect(watcher.take()).toBeUndefined();
  });

  it("makes what a deletion shows once for all watchers", () => {
    const { cache, put, drop } = setUp();
    put("p");
    const [one, two] = [follow(cache, 1, all), follow(cache, 1, all)];
    drop("p");
    expect(one.take()?.entry).toBe(two.take()?.entry);
  });
});
