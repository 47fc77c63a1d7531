import { afterEach, expect, test } from "vitest";
import { type ConfigMap, resources, statusError } from "../kube/index.ts";
import { FakeClock, silentLogger } from "../system/index.ts";
import type { Client } from "./client.ts";
import { createFakeClient, type FakeClient } from "./fake.ts";
import { createInformers } from "./informers.ts";
import { startInformer } from "./start-informer.ts";

const clock = new FakeClock();
let stop = new AbortController();
afterEach(() => {
  stop.abort();
  stop = new AbortController();
});

const draft = (name: string, value: string) => ({
  metadata: { name, namespace: "a", labels: { value } },
  data: { value },
});
const at = (name: string) => ({ namespace: "a", name });
const set = (client: Client, name: string, value: string) =>
  client.patch(resources.ConfigMap, at(name), { type: "merge", body: draft(name, value) });

function follow(client: FakeClient) {
  const informer = startInformer(client, resources.ConfigMap, {
    signal: stop.signal,
    log: silentLogger,
    clock,
    indexes: { value: (map: ConfigMap) => [map.data?.["value"] ?? ""] },
  });
  const seen: string[] = [];
  informer.onChange(({ before, after }) =>
    seen.push(`${(after ?? before)?.metadata.name}: ${before?.data?.["value"]} -> ${after?.data?.["value"]}`),
  );
  return { informer, seen };
}

test("holds what was there, follows changes, keeps indexes, freezes", async () => {
  const client = createFakeClient();
  await client.create(resources.ConfigMap, draft("x", "1"));
  const { informer, seen } = follow(client);
  await informer.synced;
  await client.create(resources.ConfigMap, draft("y", "1"));
  await set(client, "x", "2");
  await client.delete(resources.ConfigMap, at("y"));
  await clock.advance(0);
  expect(seen).toEqual(["x: undefined -> 1", "y: undefined -> 1", "x: 1 -> 2", "y: 1 -> undefined"]);
  expect(informer.by("value", "1")).toEqual([]);
  expect(informer.by("value", "2").map((o) => o.metadata.name)).toEqual(["x"]);
  expect(informer.list("a")).toHaveLength(1);
  expect(informer.list("other")).toEqual([]);
  expect(() => ((informer.get(at("x")) as ConfigMap).data = {})).toThrow(TypeError);
  const late: string[] = [];
  informer.onChange(({ after }) => late.push(after?.metadata.name ?? ""));
  expect(late).toEqual(["x"]);
});

test("a lost watch resumes: each change is seen once", async () => {
  const client = createFakeClient();
  await client.create(resources.ConfigMap, draft("x", "1"));
  const { informer, seen } = follow(client);
  await informer.synced;
  client.dropWatches();
  await set(client, "x", "2");
  await client.create(resources.ConfigMap, draft("y", "1"));
  await clock.advance(60_000);
  expect(seen).toEqual(["x: undefined -> 1", "x: 1 -> 2", "y: undefined -> 1"]);
});

test("after 410 it begins anew, and sees what went and what was replaced meanwhile", async () => {
  const client = createFakeClient();
  for (const name of ["gone", "same", "replaced"]) await client.create(resources.ConfigMap, draft(name, "1"));
  const { informer, seen } = follow(client);
  await informer.synced;
  seen.length = 0;
  client.dropWatches();
  await client.delete(resources.ConfigMap, at("gone"));
  await client.delete(resources.ConfigMap, at("replaced"));
  await client.create(resources.ConfigMap, draft("replaced", "2"));
  client.dropWatches({ expire: true });
  await clock.advance(60_000);
  expect(seen.toSorted()).toEqual(["gone: 1 -> undefined", "replaced: 1 -> undefined", "replaced: undefined -> 2"]);
});

test("a server that was set back to before what we know is read anew", async () => {
  const client = createFakeClient();
  await client.create(resources.ConfigMap, draft("x", "1"));
  let wasSetBack = false;
  const restored: FakeClient = {
    ...client,
    watch: (resource, options) => {
      if (!wasSetBack || !options.resourceVersion) return client.watch(resource, options);
      const causes = [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }];
      throw statusError("Timeout", "Too large resource version: 2, current: 1", { causes });
    },
  };
  const { informer, seen } = follow(restored);
  await informer.synced;
  wasSetBack = true;
  client.remove(resources.ConfigMap, at("x"));
  await clock.advance(0);
  client.dropWatches();
  client.put(resources.ConfigMap, draft("y", "1"));
  await clock.advance(60_000);
  expect(seen).toEqual(["x: undefined -> 1", "x: 1 -> undefined", "y: undefined -> 1"]);
});

test("a server without initial events is listed", async () => {
  const client = createFakeClient();
  const plain: FakeClient = {
    ...client,
    watch: (resource, options) => {
      if (options.sendInitialEvents) throw statusError("Invalid", "sendInitialEvents is forbidden");
      return client.watch(resource, options);
    },
  };
  await client.create(resources.ConfigMap, draft("x", "1"));
  const { informer, seen } = follow(plain);
  await informer.synced;
  await set(client, "x", "2");
  await clock.advance(0);
  expect(seen).toEqual(["x: undefined -> 1", "x: 1 -> 2"]);
});

test("a server that is away is asked again", async () => {
  const client = createFakeClient();
  let refusals = 0;
  client.intercept = () => {
    if (refusals++ < 5) throw new Error("refused");
  };
  const { informer } = follow(client);
  await clock.advance(0);
  await clock.advance(10_000);
  await informer.synced;
  expect(refusals).toBeGreaterThan(5);
});

test("a listener that throws harms no other", async () => {
  const client = createFakeClient();
  const informer = startInformer(client, resources.ConfigMap, { signal: stop.signal, log: silentLogger, clock });
  const seen: string[] = [];
  informer.onChange(() => {
    throw new Error("no");
  });
  informer.onChange(({ after }) => seen.push(after?.metadata.name ?? ""));
  await client.create(resources.ConfigMap, draft("x", "1"));
  await clock.advance(0);
  expect(seen).toEqual(["x"]);
});

test("shared informers are one, with the indexes of all", async () => {
  const client = createFakeClient();
  await client.create(resources.ConfigMap, draft("x", "1"));
  const informers = createInformers(client, { signal: stop.signal, log: silentLogger });
  const one = informers.of(resources.ConfigMap);
  await one.synced;
  const two = informers.of(resources.ConfigMap, { name: (map) => [map.metadata.name] });
  expect(two).toBe(one);
  expect(one.by("name", "x")).toHaveLength(1);
});

test("an informer of metadata holds nothing else, and not who manages the fields", async () => {
  const client = createFakeClient();
  const managedFields = [{ manager: "someone", operation: "Update" as const, apiVersion: "v1" }];
  client.put(resources.ConfigMap, {
    apiVersion: "v1",
    kind: "ConfigMap",
    ...draft("x", "1"),
    metadata: { ...draft("x", "1").metadata, managedFields },
  });
  const informers = createInformers(client, { signal: stop.signal, log: silentLogger, clock });
  const maps = informers.metadataOf(resources.ConfigMap, {
    label: ({ metadata }) => [metadata.labels?.["value"] ?? ""],
  });
  await maps.synced;
  await set(client, "y", "2").catch(() => client.create(resources.ConfigMap, draft("y", "2")));
  expect(maps.by("label", "1").map(({ metadata }) => metadata.name)).toEqual(["x"]);
  expect(maps.get(at("x"))).not.toHaveProperty("data");
  expect(maps.get(at("x"))?.metadata).not.toHaveProperty("managedFields");
  await expect.poll(() => maps.get(at("y"))?.metadata.labels).toEqual({ value: "2" });
  expect(informers.metadataOf(resources.ConfigMap)).toBe(maps);
  expect(informers.of(resources.ConfigMap)).not.toBe(maps);
});
