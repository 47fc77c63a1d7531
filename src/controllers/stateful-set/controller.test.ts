import { afterEach, beforeEach, expect, test } from "vitest";
import { type Pod, resources, type StatefulSetSpec } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startStatefulSetController } from "./controller.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startStatefulSetController(cluster);
});
afterEach(() => cluster.stop());

const name = { namespace: "a", name: "web" };
const template = (image: string) => ({
  metadata: { labels: { app: "web" } },
  spec: {
    containers: [{ name: "c", image }],
    volumes: [
      { name: "data", emptyDir: {} },
      { name: "tmp", emptyDir: {} },
    ],
  },
});
const add = (spec: Partial<StatefulSetSpec> = {}) =>
  cluster.client.create(resources.StatefulSet, {
    metadata: name,
    spec: {
      replicas: 3,
      serviceName: "headless",
      podManagementPolicy: "OrderedReady",
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 0, maxUnavailable: 1 } },
      selector: { matchLabels: { app: "web" } },
      template: template("one"),
      ...spec,
    },
  });
const set = () => cluster.client.get(resources.StatefulSet, name);
const change = (spec: object) => cluster.client.patch(resources.StatefulSet, name, { type: "merge", body: { spec } });
const names = async () => (await cluster.pods()).map(({ metadata }) => metadata.name).sort();
const imagesOf = async () =>
  Object.fromEntries((await cluster.pods()).map(({ metadata, spec }) => [metadata.name, spec.containers[0]?.image]));
const pod = (podName: string): Promise<Pod> => cluster.client.get(resources.Pod, { namespace: "a", name: podName });
/** Makes pods run, and takes those away that are to go, until nothing changes. */
async function live(rounds = 12): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await cluster.settle();
    for (const each of await cluster.pods()) {
      if (each.metadata.deletionTimestamp) await cluster.finish(each);
      else if (each.status?.phase !== "Running") await cluster.run(each);
    }
  }
  await cluster.settle();
}
const claims = async () => (await cluster.client.list(resources.PersistentVolumeClaim)).items;

test("pods come one after the other, each with its name, host name and labels", async () => {
  await add();
  await cluster.settle();
  expect(await names()).toEqual(["web-0"]);
  const first = await pod("web-0");
  expect(first).toMatchObject({
    metadata: {
      labels: { app: "web", "statefulset.kubernetes.io/pod-name": "web-0", "apps.kubernetes.io/pod-index": "0" },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "StatefulSet", name: "web", controller: true }],
    },
    spec: { hostname: "web-0", subdomain: "headless" },
  });
  await cluster.run(first, false);
  await cluster.settle();
  expect(await names()).toEqual(["web-0"]);
  await cluster.run(await pod("web-0"));
  await live();
  expect(await names()).toEqual(["web-0", "web-1", "web-2"]);
  const { status } = await set();
  const [revision] = (await cluster.client.list(resources.ControllerRevision)).items;
  expect(status).toEqual({
    replicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
    currentReplicas: 3,
    updatedReplicas: 3,
    currentRevision: revision?.metadata.name,
    updateRevision: revision?.metadata.name,
    collisionCount: 0,
    observedGeneration: 1,
  });
  expect(first.metadata.labels?.["controller-revision-hash"]).toBe(revision?.metadata.name);
});

test("Parallel makes all at once; ordinals may begin elsewhere", async () => {
  await add({ podManagementPolicy: "Parallel", ordinals: { start: 5 } });
  await cluster.settle();
  expect(await names()).toEqual(["web-5", "web-6", "web-7"]);
});

test("scaled down, the last goes first, and the next waits for its end", async () => {
  await add();
  await live();
  await change({ replicas: 1 });
  await cluster.settle();
  expect((await pod("web-2")).metadata.deletionTimestamp).toBeDefined();
  expect((await pod("web-1")).metadata.deletionTimestamp).toBeUndefined();
  await live();
  expect(await names()).toEqual(["web-0"]);
});

test("an update goes from the last to the first, down to the partition; what falls below it comes back as it was", async () => {
  await add({ updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 1, maxUnavailable: 1 } } });
  await live();
  await change({ template: template("two") });
  await cluster.settle();
  expect(
    (await cluster.pods()).filter(({ metadata }) => metadata.deletionTimestamp).map((p) => p.metadata.name),
  ).toEqual(["web-2"]);
  await live();
  expect(await imagesOf()).toEqual({ "web-0": "one", "web-1": "two", "web-2": "two" });
  const { status } = await set();
  expect(status).toMatchObject({ updatedReplicas: 2, currentReplicas: 1 });
  expect(status?.currentRevision).not.toBe(status?.updateRevision);
  await cluster.client.delete(resources.Pod, { namespace: "a", name: "web-0" });
  await live();
  expect((await imagesOf())["web-0"]).toBe("one");
  await change({ updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 0, maxUnavailable: 1 } } });
  await live();
  expect((await imagesOf())["web-0"]).toBe("two");
  expect((await set()).status).toMatchObject({ currentRevision: status?.updateRevision, currentReplicas: 3 });
});

test("maxUnavailable updates several at once; OnDelete none", async () => {
  await add({
    replicas: 4,
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 0, maxUnavailable: "50%" } },
  });
  await live();
  await change({ template: template("two") });
  await cluster.settle();
  const leaving = async () =>
    (await cluster.pods()).filter(({ metadata }) => metadata.deletionTimestamp).map(({ metadata }) => metadata.name);
  expect((await leaving()).sort()).toEqual(["web-2", "web-3"]);
  await live();
  await change({ updateStrategy: { type: "OnDelete", rollingUpdate: null }, template: template("three") });
  await live();
  expect(new Set(Object.values(await imagesOf()))).toEqual(new Set(["two"]));
  await cluster.client.delete(resources.Pod, { namespace: "a", name: "web-1" });
  await live();
  expect((await imagesOf())["web-1"]).toBe("three");
});

test("an earlier template becomes the newest revision again; old ones go beyond the limit", async () => {
  await add({ replicas: 1, revisionHistoryLimit: 1 });
  await live();
  const first = (await set()).status?.updateRevision;
  await change({ template: template("two") });
  await live();
  await change({ template: template("one") });
  await live();
  expect((await set()).status?.updateRevision).toBe(first);
  const all = async () => (await cluster.client.list(resources.ControllerRevision)).items;
  expect((await all()).map(({ revision }) => revision).sort()).toEqual([2, 3]);
  expect((await all())[0]?.data).toMatchObject({ spec: { template: { $patch: "replace" } } });
  await change({ template: template("three") });
  await live();
  expect(await all()).toHaveLength(2);
});

test("each pod has claims of its own, which stay or go as the policy says", async () => {
  await add({
    replicas: 2,
    persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Delete" },
    volumeClaimTemplates: [
      { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "data", labels: { l: "1" } }, spec: {} },
    ],
  });
  await live();
  expect((await pod("web-1")).spec.volumes).toEqual([
    { name: "data", persistentVolumeClaim: { claimName: "data-web-1" } },
    { name: "tmp", emptyDir: {} },
  ]);
  expect(
    (await claims()).map(({ metadata }) => [metadata.name, metadata.labels, metadata.ownerReferences ?? []]),
  ).toEqual([
    ["data-web-0", { l: "1", app: "web" }, []],
    ["data-web-1", { l: "1", app: "web" }, []],
  ]);
  await change({ replicas: 1 });
  await cluster.settle();
  expect((await claims())[1]?.metadata.ownerReferences).toMatchObject([{ kind: "Pod", name: "web-1" }]);
  await change({ persistentVolumeClaimRetentionPolicy: { whenDeleted: "Delete", whenScaled: "Retain" } });
  await live();
  expect((await claims())[0]?.metadata.ownerReferences).toMatchObject([{ kind: "StatefulSet", name: "web" }]);
});

test("minReadySeconds: the next pod waits for it", async () => {
  await add({ minReadySeconds: 30 });
  await live(3);
  expect(await names()).toEqual(["web-0"]);
  await cluster.clock.advance(31_000);
  await cluster.settle();
  expect(await names()).toEqual(["web-0", "web-1"]);
});

test("a pod that has come to an end is made anew", async () => {
  await add({ replicas: 1 });
  await live();
  const before = await pod("web-0");
  await cluster.client.updateStatus(resources.Pod, { ...before, status: { phase: "Failed" } });
  await live();
  expect((await pod("web-0")).metadata.uid).not.toBe(before.metadata.uid);
});
