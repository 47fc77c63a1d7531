import { afterEach, beforeEach, expect, test } from "vitest";
import { type DaemonSetSpec, type Node, type Pod, resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startDaemonSetController } from "./controller.ts";
import { nodeOf } from "./placement.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startDaemonSetController(cluster);
});
afterEach(() => cluster.stop());

const name = { namespace: "a", name: "ds" };
const template = (image: string, spec: object = {}) => ({
  metadata: { labels: { app: "ds" } },
  spec: { containers: [{ name: "c", image }], ...spec },
});
const add = (spec: Partial<DaemonSetSpec> = {}) =>
  cluster.client.create(resources.DaemonSet, {
    metadata: { ...name, annotations: { "deprecated.daemonset.template.generation": "1" } },
    spec: {
      selector: { matchLabels: { app: "ds" } },
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      template: template("one"),
      ...spec,
    },
  });
const addNode = (node: string, labels: Record<string, string> = {}, spec: Partial<Node["spec"]> = {}) =>
  cluster.client.create(resources.Node, { metadata: { name: node, labels }, spec });
const set = () => cluster.client.get(resources.DaemonSet, name);
const change = (spec: object) => cluster.client.patch(resources.DaemonSet, name, { type: "merge", body: { spec } });
const places = async () => (await cluster.pods()).map((pod) => nodeOf(pod)).sort();
const images = async () => (await cluster.pods()).map(({ spec }) => spec.containers[0]?.image).sort();

/** Binds a pod where it is for, and makes it run. */
async function start(pod: Pod): Promise<void> {
  const at = { namespace: "a", name: pod.metadata.name };
  if (!pod.spec.nodeName) {
    const target = { kind: "Node", name: nodeOf(pod) };
    await cluster.client.createSubresource(resources.Pod, at, "binding", { target });
  }
  await cluster.run(await cluster.client.get(resources.Pod, at));
}
async function live(rounds = 12): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await cluster.settle();
    for (const pod of await cluster.pods()) {
      if (pod.metadata.deletionTimestamp) await cluster.finish(pod);
      else if (pod.status?.phase !== "Running") await start(pod);
    }
  }
  await cluster.settle();
}

test("each node gets a pod, a new one too, bound by affinity and with tolerations of its own", async () => {
  await addNode("n1");
  await add();
  await cluster.settle();
  await addNode("n2");
  await cluster.settle();
  expect(await places()).toEqual(["n1", "n2"]);
  const [pod] = await cluster.pods();
  expect(pod?.metadata).toMatchObject({
    generateName: "ds-",
    labels: { app: "ds", "pod-template-generation": "1" },
    ownerReferences: [{ apiVersion: "apps/v1", kind: "DaemonSet", name: "ds", controller: true }],
  });
  expect(pod?.spec.nodeName).toBeUndefined();
  expect(pod?.spec.tolerations?.map(({ key, effect }) => `${key?.split("/")[1]}:${effect}`)).toEqual([
    "not-ready:NoExecute",
    "unreachable:NoExecute",
    "disk-pressure:NoSchedule",
    "memory-pressure:NoSchedule",
    "pid-pressure:NoSchedule",
    "unschedulable:NoSchedule",
  ]);
  await live();
  expect((await set()).status).toEqual({
    currentNumberScheduled: 2,
    desiredNumberScheduled: 2,
    numberMisscheduled: 0,
    numberReady: 2,
    numberAvailable: 2,
    updatedNumberScheduled: 2,
    observedGeneration: 1,
  });
});

test("selectors and taints choose the nodes; a node that is not meant any more loses its pod", async () => {
  await addNode("n1", { disk: "ssd" });
  await addNode("n2");
  await addNode("n3", { disk: "ssd" }, { taints: [{ key: "own", value: "x", effect: "NoSchedule" }] });
  await add({ template: template("one", { nodeSelector: { disk: "ssd" } }) });
  await live();
  expect(await places()).toEqual(["n1"]);
  await cluster.client.patch(resources.Node, { name: "n1" }, { type: "merge", body: { metadata: { labels: null } } });
  await live();
  expect(await places()).toEqual([]);
});

test("a taint NoSchedule leaves the pod that is there, NoExecute does not", async () => {
  await addNode("n1");
  await add();
  await live();
  const taint = (effect: string) =>
    cluster.client.patch(
      resources.Node,
      { name: "n1" },
      { type: "merge", body: { spec: { taints: [{ key: "own", effect }] } } },
    );
  await taint("NoSchedule");
  await live();
  expect(await places()).toEqual(["n1"]);
  expect((await set()).status).toMatchObject({ desiredNumberScheduled: 0, numberMisscheduled: 1 });
  await taint("NoExecute");
  await live();
  expect(await places()).toEqual([]);
});

test("an update takes away so many at a time as maxUnavailable says", async () => {
  for (const node of ["n1", "n2", "n3"]) await addNode(node);
  await add();
  await live();
  await change({ template: template("two") });
  await cluster.settle();
  expect((await cluster.pods()).filter(({ metadata }) => metadata.deletionTimestamp)).toHaveLength(1);
  await live();
  expect(await images()).toEqual(["two", "two", "two"]);
  expect(
    (await cluster.client.list(resources.ControllerRevision)).items.map(({ revision }) => revision).sort(),
  ).toEqual([1, 2]);
  expect((await set()).status).toMatchObject({ updatedNumberScheduled: 3, numberAvailable: 3 });
});

test("with maxSurge the new pod is there before the old one goes", async () => {
  for (const node of ["n1", "n2"]) await addNode(node);
  await add({ updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } });
  await live();
  await change({ template: template("two") });
  await cluster.settle();
  expect(await images()).toEqual(["one", "one", "two"]);
  expect((await cluster.pods()).filter(({ metadata }) => metadata.deletionTimestamp)).toEqual([]);
  await live();
  expect(await images()).toEqual(["two", "two"]);
});

test("OnDelete leaves pods until somebody deletes them", async () => {
  await addNode("n1");
  await add({ updateStrategy: { type: "OnDelete" } });
  await live();
  await change({ template: template("two") });
  await live();
  expect(await images()).toEqual(["one"]);
  const [pod] = await cluster.pods();
  await cluster.client.delete(resources.Pod, { namespace: "a", name: pod?.metadata.name ?? "" });
  await live();
  expect(await images()).toEqual(["two"]);
});

test("a pod that has failed is replaced, and later when it fails again", async () => {
  await addNode("n1");
  await add();
  await live();
  const fail = async (): Promise<string | undefined> => {
    const [pod] = await cluster.pods();
    await cluster.client.updateStatus(resources.Pod, { ...pod!, status: { phase: "Failed" } });
    await cluster.settle();
    return pod?.metadata.uid;
  };
  const first = await fail();
  await live(2);
  expect((await cluster.pods())[0]?.metadata.uid).not.toBe(first);
  const second = await fail();
  expect((await cluster.pods())[0]?.metadata.uid).toBe(second);
  await cluster.clock.advance(1100);
  await live(2);
  expect((await cluster.pods())[0]?.metadata.uid).not.toBe(second);
});
