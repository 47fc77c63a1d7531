import { expect, test } from "vitest";
import { resources } from "../../kube/index.ts";
import { entryMaker, keyFor, storedBytes, type Entry } from "./entry.ts";

const { ConfigMap } = resources;
const make = entryMaker(ConfigMap);

function entryOf(name: string, revision: number, text = name): Entry {
  const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "n" }, data: { text } };
  return make(keyFor(ConfigMap, { namespace: "n", name }), revision, storedBytes(ConfigMap, object));
}

test("who sees a new revision once and who keeps it share one object", () => {
  const entry = entryOf("a", 7);
  const once = entry.read();
  expect(once.metadata.resourceVersion).toBe("7");
  expect(entry.object).toBe(once);
  expect(entry.read()).toBe(once);
});

test("entries of the same revision, of several servers in a process, are not taken for each other", () => {
  const [mine, other] = [entryOf("a", 9), entryOf("b", 9)];
  expect(mine.read().metadata.name).toBe("a");
  expect(other.read().metadata.name).toBe("b");
  expect(mine.read().metadata.name).toBe("a");
});

test("what is large, or long ago, is not held for who reads it once", () => {
  const large = entryOf("large", 11, "x".repeat(20_000));
  expect(large.read()).not.toBe(large.read());
  const old = entryOf("old", 12);
  const first = old.read();
  for (let i = 1; i <= 64; i++) entryOf(`n-${i}`, 12 + i).read();
  expect(old.read()).not.toBe(first);
  expect(old.read()).toEqual(first);
});
