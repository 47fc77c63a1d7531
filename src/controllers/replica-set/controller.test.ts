import { afterEach, beforeEach, expect, test } from "vitest";
import { findCondition, type Pod, type ReplicaSet, resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startReplicaSetController, startReplicationController } from "./controller.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startReplicaSetController(cluster);
});
afterEach(() => cluster.stop());

const name = { namespace: "a", name: "rs" };
const add = (replicas: number, spec: Partial<ReplicaSet["spec"]> = {}) =>
  cluster.client.create(resources.ReplicaSet, {
    metadata: name,
    spec: {
      replicas,
      selector: { matchLabels: { app: "x" } },
      template: {
        metadata: { labels: { app: "x", extra: "y" }, annotations: { k: "v" } },
        spec: { containers: [{ name: "c" }] },
      },
      ...spec,
    },
  });
const set = () => cluster.client.get(resources.ReplicaSet, name);
const scale = (replicas: number) =>
  cluster.client.patch(resources.ReplicaSet, name, { type: "merge", body: { spec: { replicas } } });
const active = async () => (await cluster.pods()).filter(({ metadata }) => !metadata.deletionTimestamp);
const addPod = (podName: string, labels: Record<string, string>) =>
  cluster.client.create(resources.Pod, {
    metadata: { name: podName, namespace: "a", labels },
    spec: { containers: [] },
  });

test("pods are made from the template, owned, and counted", async () => {
  await add(3);
  await cluster.settle();
  const [pod, ...others] = await cluster.pods();
  expect(others).toHaveLength(2);
  expect(pod).toMatchObject({
    metadata: {
      generateName: "rs-",
      labels: { app: "x", extra: "y" },
      annotations: { k: "v" },
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: "rs", controller: true, blockOwnerDeletion: true },
      ],
    },
  });
  for (const each of await cluster.pods()) await cluster.run(each);
  await cluster.settle();
  expect((await set()).status).toEqual({
    replicas: 3,
    fullyLabeledReplicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
    terminatingReplicas: 0,
    observedGeneration: 1,
  });
});

test("an old cache never makes it create too many", async () => {
  await add(5);
  // Each write makes events; the watch is cut again and again, so that the cache lags behind.
  for (let i = 0; i < 10; i++) {
    client().dropWatches();
    await scale(5 + (i % 2));
    await Promise.resolve();
  }
  await scale(5);
  await cluster.clock.advance(120_000);
  await cluster.settle();
  expect(await active()).toHaveLength(5);
  expect(
    client().writes.filter(({ verb, resource }) => verb === "create" && resource.kind === "Pod").length,
  ).toBeLessThanOrEqual(6);
});
const client = () => cluster.client;

test("a pod that fails, ends or is deleted is replaced", async () => {
  await add(2);
  await cluster.settle();
  const [one, two] = (await cluster.pods()) as [Pod, Pod];
  await client().updateStatus(resources.Pod, { ...one, status: { phase: "Failed" } });
  await client().delete(resources.Pod, { namespace: "a", name: two.metadata.name });
  await cluster.settle();
  const running = (await active()).filter(({ status }) => status?.phase !== "Failed");
  expect(running).toHaveLength(2);
  expect((await set()).status?.replicas).toBe(2);
});

test("scaled down, those go first that are least worth", async () => {
  await add(4);
  await cluster.settle();
  const pods = await cluster.pods();
  for (const pod of pods.slice(0, 3)) await cluster.run(pod);
  const cheap = pods[1]!;
  await client().patch(
    resources.Pod,
    { namespace: "a", name: cheap.metadata.name },
    { type: "merge", body: { metadata: { annotations: { "controller.kubernetes.io/pod-deletion-cost": "-10" } } } },
  );
  await cluster.settle();
  await scale(3);
  await cluster.settle();
  // The one that never got a node.
  expect((await active()).map(({ metadata }) => metadata.name)).not.toContain(pods[3]?.metadata.name);
  await scale(2);
  await cluster.settle();
  expect((await active()).map(({ metadata }) => metadata.name)).toEqual([
    pods[0]?.metadata.name,
    pods[2]?.metadata.name,
  ]);
});

test("matching orphans are adopted, pods that no longer match are let go", async () => {
  await addPod("mine", { app: "x" });
  await addPod("other", { app: "z" });
  await add(1);
  await cluster.settle();
  expect((await cluster.pods()).map(({ metadata }) => [metadata.name, metadata.ownerReferences?.[0]?.name])).toEqual([
    ["mine", "rs"],
    ["other", undefined],
  ]);
  await client().patch(
    resources.Pod,
    { namespace: "a", name: "mine" },
    { type: "merge", body: { metadata: { labels: { app: "debug" } } } },
  );
  await cluster.settle();
  const mine = await client().get(resources.Pod, { namespace: "a", name: "mine" });
  expect(mine.metadata.ownerReferences).toEqual([]);
  expect((await active()).filter(({ metadata }) => metadata.ownerReferences?.length)).toHaveLength(1);
});

test("available only after minReadySeconds, without being asked", async () => {
  await add(1, { minReadySeconds: 30 });
  await cluster.settle();
  await cluster.run((await cluster.pods())[0]!);
  await cluster.settle();
  expect((await set()).status).toMatchObject({ readyReplicas: 1 });
  expect((await set()).status?.availableReplicas).toBeUndefined();
  await cluster.clock.advance(31_000);
  await cluster.settle();
  expect((await set()).status?.availableReplicas).toBe(1);
});

test("refused creations come in growing batches and are told", async () => {
  let allowed = 1;
  client().intercept = ({ verb, resource }) => {
    if (verb === "create" && resource.kind === "Pod" && allowed-- <= 0) throw new Error("exceeded quota");
  };
  await add(100);
  await cluster.clock.advance(0);
  const tried = client().writes.filter(({ verb, resource }) => verb === "create" && resource.kind === "Pod").length;
  expect(tried).toBeLessThanOrEqual(7);
  await cluster.settle();
  expect(findCondition((await set()).status?.conditions, "ReplicaFailure")).toMatchObject({
    reason: "FailedCreate",
    message: "exceeded quota",
  });
  const events = (await client().list(resources.Event)).items;
  expect(events.find(({ reason }) => reason === "FailedCreate")?.message).toBe("Error creating: exceeded quota");
});

test("a ReplicationController keeps its pods the same way", async () => {
  startReplicationController(cluster);
  await cluster.client.create(resources.ReplicationController, {
    metadata: { namespace: "a", name: "rc" },
    spec: {
      replicas: 2,
      selector: { app: "rc" },
      template: { metadata: { labels: { app: "rc" } }, spec: { containers: [{ name: "c" }] } },
    },
  });
  await cluster.settle();
  const [pod, ...others] = await cluster.pods();
  expect(others).toHaveLength(1);
  expect(pod?.metadata).toMatchObject({
    generateName: "rc-",
    ownerReferences: [{ apiVersion: "v1", kind: "ReplicationController", name: "rc", controller: true }],
  });
  for (const each of await cluster.pods()) await cluster.run(each);
  await cluster.settle();
  const rc = await cluster.client.get(resources.ReplicationController, { namespace: "a", name: "rc" });
  expect(rc.spec?.selector).toEqual({ app: "rc" });
  expect(rc.status).toEqual({
    replicas: 2,
    fullyLabeledReplicas: 2,
    readyReplicas: 2,
    availableReplicas: 2,
    observedGeneration: 1,
  });
});
