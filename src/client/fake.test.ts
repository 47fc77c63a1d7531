import { expect, test } from "vitest";
import { resources } from "../kube/index.ts";
import { createFakeClient } from "./fake.ts";

const map = (name: string, labels: Record<string, string> = {}) => ({ metadata: { name, namespace: "a", labels } });
const pod = (name: string, nodeName?: string) => ({
  metadata: { name, namespace: "a" },
  spec: { containers: [], ...(nodeName ? { nodeName } : {}) },
});

test("an update with an old version is a conflict, an equal one changes nothing", async () => {
  const client = createFakeClient();
  const first = await client.create(resources.ConfigMap, { ...map("x"), data: { k: "1" } });
  const second = await client.update(resources.ConfigMap, { ...first, data: { k: "2" } });
  await expect(client.update(resources.ConfigMap, { ...first, data: { k: "3" } })).rejects.toMatchObject({
    reason: "Conflict",
  });
  expect(await client.update(resources.ConfigMap, { ...second })).toBe(second);
  await expect(client.create(resources.ConfigMap, map("x"))).rejects.toMatchObject({ reason: "AlreadyExists" });
});

test("selectors choose in list and watch; leaving a selector is DELETED", async () => {
  const client = createFakeClient();
  await client.create(resources.ConfigMap, map("x", { app: "one" }));
  await client.create(resources.ConfigMap, map("y", { app: "two" }));
  const names = async (labelSelector: string) =>
    (await client.list(resources.ConfigMap, { labelSelector })).items.map((o) => o.metadata.name);
  expect(await names("app in (one, three)")).toEqual(["x"]);
  expect(await names("app notin (one),app")).toEqual(["y"]);
  expect(await names("!app")).toEqual([]);
  expect((await client.list(resources.ConfigMap, { fieldSelector: "metadata.name!=x" })).items).toHaveLength(1);

  const stop = new AbortController();
  const seen: string[] = [];
  const watching = (async () => {
    const query = { labelSelector: "app=one", sendInitialEvents: true, signal: stop.signal };
    for await (const event of client.watch(resources.ConfigMap, query)) {
      seen.push(
        event.type === "BOOKMARK" ? `BOOKMARK ${event.initial}` : `${event.type} ${event.object.metadata.name}`,
      );
      if (event.type === "BOOKMARK") {
        await client.patch(
          resources.ConfigMap,
          { namespace: "a", name: "x" },
          { type: "merge", body: { metadata: { labels: { app: "two" } } } },
        );
      }
      if (event.type === "DELETED") stop.abort();
    }
  })();
  await watching;
  expect(seen).toEqual(["ADDED x", "BOOKMARK true", "DELETED x"]);
});

test("finalizers hold an object, a grace period holds a pod that has a node", async () => {
  const client = createFakeClient();
  const name = { namespace: "a", name: "p" };
  await client.create(resources.Pod, pod("p", "n1"));
  await client.delete(resources.Pod, name);
  expect((await client.get(resources.Pod, name)).metadata.deletionGracePeriodSeconds).toBe(30);
  await client.delete(resources.Pod, name, { gracePeriodSeconds: 0 });
  await expect(client.get(resources.Pod, name)).rejects.toMatchObject({ reason: "NotFound" });

  await client.create(resources.ConfigMap, { metadata: { name: "f", namespace: "a", finalizers: ["x/y"] } });
  await client.delete(resources.ConfigMap, { namespace: "a", name: "f" });
  const kept = await client.get(resources.ConfigMap, { namespace: "a", name: "f" });
  expect(kept.metadata.deletionTimestamp).toBeDefined();
  await client.update(resources.ConfigMap, { ...kept, metadata: { ...kept.metadata, finalizers: [] } });
  expect((await client.list(resources.ConfigMap)).items).toEqual([]);
});

test("status and spec are written apart, the generation follows the spec", async () => {
  const client = createFakeClient();
  const made = await client.create(resources.Pod, pod("p"));
  const withStatus = await client.updateStatus(resources.Pod, {
    ...made,
    spec: { containers: [], nodeName: "no" },
    status: { phase: "Running" },
  });
  expect(withStatus.spec.nodeName).toBeUndefined();
  const changed = await client.update(resources.Pod, {
    ...withStatus,
    spec: { containers: [], priority: 1 },
    status: {},
  });
  expect([changed.status?.phase, changed.metadata.generation]).toEqual(["Running", 2]);
});
