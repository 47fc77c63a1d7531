import { afterEach, beforeEach, expect, test } from "vitest";
import { type Deployment, findCondition, type Pod, type ReplicaSet, resources } from "../../kube/index.ts";
import { isReady } from "../pods.ts";
import { startReplicaSetController } from "../replica-set/controller.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startDeploymentController } from "./controller.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startDeploymentController(cluster);
  startReplicaSetController(cluster);
});
afterEach(() => cluster.stop());

const name = { namespace: "shop", name: "web" };

function draft(image: string, spec: Partial<Deployment["spec"]> = {}) {
  return {
    metadata: { ...name, annotations: { "kubernetes.io/change-cause": image } },
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image }] } },
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      progressDeadlineSeconds: 600,
      revisionHistoryLimit: 10,
      ...spec,
    },
  };
}

const deployment = () => cluster.client.get(resources.Deployment, name);
const change = (spec: object) => cluster.client.patch(resources.Deployment, name, { type: "merge", body: { spec } });
const setImage = (image: string) => change({ template: { spec: { containers: [{ name: "c", image }] } } });
const sets = async (): Promise<ReplicaSet[]> =>
  [...(await cluster.client.list(resources.ReplicaSet)).items].sort((a, b) => revision(a) - revision(b));
const revision = (set: ReplicaSet | Deployment) =>
  Number(set.metadata.annotations?.["deployment.kubernetes.io/revision"]);
const sizes = async () => (await sets()).map(({ spec }) => spec.replicas);
const imageOf = (pod: Pod) => pod.spec.containers[0]?.image;

/** A kubelet: pods become ready one after the other, those that were deleted go. Checks the bounds at each step. */
async function rollOut(check: (pods: readonly Pod[]) => void = () => {}): Promise<void> {
  for (let i = 0; i < 60; i++) {
    await cluster.settle();
    const pods = await cluster.pods();
    check(pods);
    const leaving = pods.find(({ metadata }) => metadata.deletionTimestamp);
    const coming = pods.find((pod) => !isReady(pod) && !pod.metadata.deletionTimestamp);
    if (leaving) await cluster.finish(leaving);
    else if (coming) await cluster.run(coming);
    else return;
  }
  throw new Error("the rollout did not end");
}

test("a new Deployment makes a ReplicaSet with its hash, and pods", async () => {
  await cluster.client.create(resources.Deployment, draft("v1"));
  await rollOut();
  const [set] = await sets();
  const hash = set?.metadata.labels?.["pod-template-hash"];
  expect(set?.metadata.name).toBe(`web-${hash}`);
  expect(set?.metadata.annotations).toEqual({
    "kubernetes.io/change-cause": "v1",
    "deployment.kubernetes.io/revision": "1",
    "deployment.kubernetes.io/desired-replicas": "3",
    "deployment.kubernetes.io/max-replicas": "4",
  });
  expect(set?.spec.selector).toEqual({ matchLabels: { app: "web", "pod-template-hash": hash } });
  expect(set?.metadata.ownerReferences).toMatchObject([
    { kind: "Deployment", name: "web", controller: true, blockOwnerDeletion: true },
  ]);
  const { status, metadata } = await deployment();
  expect(metadata.annotations?.["deployment.kubernetes.io/revision"]).toBe("1");
  expect(status).toMatchObject({
    observedGeneration: 1,
    replicas: 3,
    updatedReplicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
  });
  expect(status).not.toHaveProperty("unavailableReplicas");
  expect(findCondition(status?.conditions, "Available")).toMatchObject({
    status: "True",
    reason: "MinimumReplicasAvailable",
  });
  expect(findCondition(status?.conditions, "Progressing")).toMatchObject({
    status: "True",
    reason: "NewReplicaSetAvailable",
    message: `ReplicaSet "web-${hash}" has successfully progressed.`,
  });
  const events = (await cluster.client.list(resources.Event)).items;
  expect(events.find(({ reason }) => reason === "ScalingReplicaSet")?.message).toBe(
    `Scaled up replica set web-${hash} from 0 to 3`,
  );
  expect(events.filter(({ reason }) => reason === "SuccessfulCreate")).toHaveLength(3);
});

test("a rolling update never has too many pods, nor too few that are available", async () => {
  await cluster.client.create(resources.Deployment, draft("v1"));
  await rollOut();
  await setImage("v2");
  await rollOut((pods) => {
    expect(pods.filter(({ metadata }) => !metadata.deletionTimestamp).length).toBeLessThanOrEqual(4);
    expect(pods.filter((pod) => isReady(pod) && !pod.metadata.deletionTimestamp).length).toBeGreaterThanOrEqual(3);
  });
  expect((await cluster.pods()).map(imageOf)).toEqual(["v2", "v2", "v2"]);
  expect(await sizes()).toEqual([0, 3]);
  expect(revision(await deployment())).toBe(2);
});

test("an undo takes the old ReplicaSet again, with a new revision and its history", async () => {
  await cluster.client.create(resources.Deployment, draft("v1"));
  await rollOut();
  await setImage("v2");
  await rollOut();
  await setImage("v1");
  await rollOut();
  expect(await sizes()).toEqual([0, 3]);
  const current = (await sets())[1];
  expect(revision(current!)).toBe(3);
  expect(current?.metadata.annotations?.["deployment.kubernetes.io/revision-history"]).toBe("1");
  expect(revision(await deployment())).toBe(3);
});

test("a ReplicaSet that was there before is adopted, rolled over, and its revision counted on", async () => {
  const template = { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image: "v0" }] } };
  await cluster.client.create(resources.ReplicaSet, {
    metadata: {
      namespace: "shop",
      name: "before",
      labels: { app: "web" },
      annotations: { "deployment.kubernetes.io/revision": "3546343826724305832" },
    },
    spec: { replicas: 1, selector: { matchLabels: { app: "web" } }, template },
  });
  await rollOut();
  await cluster.client.create(resources.Deployment, draft("v1"));
  await rollOut();
  expect((await cluster.pods()).map(imageOf)).toEqual(["v1", "v1", "v1"]);
  const { annotations } = (await deployment()).metadata;
  expect(annotations?.["deployment.kubernetes.io/revision"]).toBe("3546343826724305833");
  const before = await cluster.client.get(resources.ReplicaSet, { namespace: "shop", name: "before" });
  expect(before.metadata.ownerReferences?.[0]?.name).toBe("web");
  expect(before.spec.replicas).toBe(0);
});

test("Recreate ends all old pods before it starts new ones", async () => {
  await cluster.client.create(resources.Deployment, draft("v1", { strategy: { type: "Recreate" } }));
  await rollOut();
  await setImage("v2");
  await rollOut((pods) => expect(new Set(pods.map(imageOf)).size).toBeLessThanOrEqual(1));
  expect((await cluster.pods()).map(imageOf)).toEqual(["v2", "v2", "v2"]);
});

test("paused: sizes follow, the template doesn't; resumed: it does", async () => {
  await cluster.client.create(resources.Deployment, draft("v1"));
  await rollOut();
  await change({ paused: true });
  await setImage("v2");
  await change({ replicas: 5 });
  await rollOut();
  expect(await sizes()).toEqual([5]);
  expect(findCondition((await deployment()).status?.conditions, "Progressing")?.reason).toBe("DeploymentPaused");
  await change({ paused: false });
  await rollOut();
  expect(await sizes()).toEqual([0, 5]);
  expect(findCondition((await deployment()).status?.conditions, "Progressing")?.reason).toBe("NewReplicaSetAvailable");
});

test("resized in the middle of a rollout, each ReplicaSet gets its share", async () => {
  const strategy = { type: "RollingUpdate", rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } };
  await cluster.client.create(resources.Deployment, draft("v1", { replicas: 10, strategy }));
  await rollOut();
  await setImage("v2");
  await cluster.settle();
  expect(await sizes()).toEqual([8, 5]);
  await change({ replicas: 15 });
  await cluster.settle();
  expect(await sizes()).toEqual([11, 7]);
});

test("a rollout that doesn't move passes its deadline, and recovers", async () => {
  await cluster.client.create(resources.Deployment, draft("v1", { progressDeadlineSeconds: 10 }));
  await cluster.settle();
  await cluster.clock.advance(12_000);
  await cluster.settle();
  const condition = findCondition((await deployment()).status?.conditions, "Progressing");
  expect(condition).toMatchObject({ status: "False", reason: "ProgressDeadlineExceeded" });
  await rollOut();
  expect(findCondition((await deployment()).status?.conditions, "Progressing")?.reason).toBe("NewReplicaSetAvailable");
});

test("history beyond its limit is removed, oldest first", async () => {
  await cluster.client.create(resources.Deployment, draft("v1", { revisionHistoryLimit: 1 }));
  await rollOut();
  for (const image of ["v2", "v3", "v4"]) {
    await setImage(image);
    await rollOut();
  }
  expect((await sets()).map(revision)).toEqual([3, 4]);
});

test("another ReplicaSet with the name in the way: the collision count gives a new name", async () => {
  await cluster.client.create(resources.Deployment, draft("v1"));
  await cluster.settle();
  const [first] = await sets();
  await cluster.client.delete(resources.Deployment, name);
  cluster.client.put(resources.ReplicaSet, {
    metadata: { namespace: "shop", name: first?.metadata.name ?? "", uid: "foreign" },
    spec: { replicas: 0, selector: { matchLabels: { other: "x" } } },
  });
  await cluster.client.create(resources.Deployment, draft("v1"));
  await cluster.settle();
  expect((await deployment()).status?.collisionCount).toBe(1);
  expect((await sets()).map(({ spec }) => spec.replicas).toSorted()).toEqual([0, 3]);
});

test("refused pods show as ReplicaFailure on both, and go when they are let in", async () => {
  cluster.client.intercept = ({ verb, resource }) => {
    if (verb === "create" && resource.kind === "Pod") throw new Error("quota exceeded");
  };
  await cluster.client.create(resources.Deployment, draft("v1"));
  await cluster.settle();
  const conditionOf = async () => findCondition((await deployment()).status?.conditions, "ReplicaFailure");
  expect(await conditionOf()).toMatchObject({ status: "True", reason: "FailedCreate", message: "quota exceeded" });
  cluster.client.intercept = undefined;
  await cluster.clock.advance(5000);
  await rollOut();
  expect(await conditionOf()).toBeUndefined();
  expect((await deployment()).status?.availableReplicas).toBe(3);
});
