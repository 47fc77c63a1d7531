import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClient, createInformers, type FakeClient } from "../client/index.ts";
import { findCondition, resources, statusError } from "../kube/index.ts";
import { FakeClock, silentLogger } from "../system/index.ts";
import { startScheduler } from "./scheduler.ts";

let client: FakeClient;
let clock: FakeClock;
let stop: AbortController;
beforeEach(() => {
  clock = new FakeClock();
  client = createFakeClient({ clock });
  stop = new AbortController();
  const { signal } = stop;
  const informers = createInformers(client, { signal, log: silentLogger });
  startScheduler({ client, informers, clock, log: silentLogger, signal });
});
afterEach(() => stop.abort());

const addNode = (name: string, cpu = "1") =>
  client.put(resources.Node, {
    metadata: { name, labels: { "kubernetes.io/hostname": name } },
    spec: {},
    status: { allocatable: { cpu, memory: "1Gi", pods: "110" }, conditions: [{ type: "Ready", status: "True" }] },
  });
const addPod = (name: string, cpu = "400m", more = {}) =>
  client.create(resources.Pod, {
    metadata: { name, namespace: "a" },
    spec: { containers: [{ name: "c", resources: { requests: { cpu } } }], ...more },
  });
const podOf = (name: string) => client.get(resources.Pod, { namespace: "a", name });
const nodeOf = async (name: string) => (await podOf(name)).spec.nodeName;
const settle = async () => {
  for (let i = 0; i < 5; i++) await clock.advance(0);
};

test("pods that come at once never take more than there is", async () => {
  addNode("n1");
  addNode("n2");
  await Promise.all(["a", "b", "c", "d", "e"].map((name) => addPod(name)));
  await settle();
  const places = await Promise.all(["a", "b", "c", "d", "e"].map(nodeOf));
  expect(places.filter((place) => place === "n1")).toHaveLength(2);
  expect(places.filter((place) => place === "n2")).toHaveLength(2);
  expect(places.filter((place) => place === undefined)).toHaveLength(1);
  const events = (await client.list(resources.Event)).items;
  expect(events.filter(({ reason }) => reason === "Scheduled")).toHaveLength(4);
  expect(events.find(({ reason }) => reason === "Scheduled")?.message).toMatch(/^Successfully assigned a\/. to n.$/);
  expect(events.find(({ reason }) => reason === "FailedScheduling")).toMatchObject({
    type: "Warning",
    message:
      "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.",
    source: { component: "default-scheduler" },
  });
});

test("a pod without a place says so and gets one when there is room", async () => {
  await addPod("p");
  await settle();
  const condition = findCondition((await podOf("p")).status?.conditions, "PodScheduled");
  expect(condition).toMatchObject({
    status: "False",
    reason: "Unschedulable",
    message: "no nodes available to schedule pods",
  });
  addNode("n1");
  await settle();
  await clock.advance(200);
  expect(await nodeOf("p")).toBe("n1");
  expect(findCondition((await podOf("p")).status?.conditions, "PodScheduled")?.status).toBe("True");
});

test("room that a deleted pod leaves is used", async () => {
  addNode("n1");
  await addPod("a", "800m");
  await settle();
  await addPod("b", "800m");
  await settle();
  expect(await nodeOf("b")).toBeUndefined();
  await client.delete(resources.Pod, { namespace: "a", name: "a" }, { gracePeriodSeconds: 0 });
  await settle();
  await clock.advance(200);
  expect(await nodeOf("b")).toBe("n1");
});

test("a binding that fails gives its place back and is tried again", async () => {
  addNode("n1");
  let failures = 3;
  client.intercept = ({ subresource }) => {
    if (subresource === "binding" && failures-- > 0) throw statusError("InternalError", "no");
  };
  await addPod("a", "800m");
  await settle();
  await clock.advance(1000);
  expect(await nodeOf("a")).toBe("n1");
});

test("gates and other schedulers are respected", async () => {
  addNode("n1");
  await addPod("gated", "1m", { schedulingGates: [{ name: "x" }] });
  await addPod("other", "1m", { schedulerName: "mine" });
  await settle();
  expect(findCondition((await podOf("gated")).status?.conditions, "PodScheduled")?.reason).toBe("SchedulingGated");
  expect((await podOf("other")).status).toBeUndefined();
  await client.patch(
    resources.Pod,
    { namespace: "a", name: "gated" },
    { type: "merge", body: { spec: { schedulingGates: null } } },
  );
  await settle();
  expect([await nodeOf("gated"), await nodeOf("other")]).toEqual(["n1", undefined]);
});

const budget = (allowed: number) =>
  client.put(resources.PodDisruptionBudget, {
    metadata: { name: "b", namespace: "a" },
    spec: { selector: { matchLabels: { app: "web" } } },
    status: { disruptionsAllowed: allowed, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 },
  });

test("a pod of higher priority gets the place of one of lower", async () => {
  addNode("n1");
  await addPod("low", "800m");
  budget(0);
  await settle();
  expect(await nodeOf("low")).toBe("n1");
  await addPod("high", "800m", { priority: 10 });
  await settle();
  // It is asked to end, as somebody's deletion would.
  const low = await podOf("low");
  expect(low.metadata.deletionTimestamp).toBeDefined();
  expect(findCondition(low.status?.conditions, "DisruptionTarget")).toMatchObject({
    status: "True",
    reason: "PreemptionByScheduler",
    message: "default-scheduler: preempting to accommodate a higher priority pod",
  });
  const high = await podOf("high");
  expect(high.status?.nominatedNodeName).toBe("n1");
  expect(findCondition(high.status?.conditions, "PodScheduled")).toMatchObject({
    reason: "Unschedulable",
    message: "0/1 nodes are available: 1 Insufficient cpu.",
  });
  const events = (await client.list(resources.Event)).items;
  expect(events.find(({ reason }) => reason === "Preempted")).toMatchObject({
    involvedObject: { name: "low" },
    message: `Preempted by pod ${high.metadata.uid} on node n1`,
  });
  // Whoever comes meanwhile does not get it, although it would fit when the other one has gone.
  await addPod("late", "500m");
  await client.delete(resources.Pod, { namespace: "a", name: "low" }, { gracePeriodSeconds: 0 });
  await settle();
  await clock.advance(1000);
  expect([await nodeOf("high"), await nodeOf("late")]).toEqual(["n1", undefined]);
});

test("a pod that outranks another takes over the room that was made for it", async () => {
  addNode("n1");
  await addPod("low", "800m");
  await settle();
  await addPod("middle", "800m", { priority: 5 });
  await settle();
  expect((await podOf("middle")).status?.nominatedNodeName).toBe("n1");
  await addPod("high", "800m", { priority: 10 });
  await settle();
  expect((await podOf("high")).status?.nominatedNodeName).toBe("n1");
  expect((await podOf("middle")).status?.nominatedNodeName).toBeUndefined();
  await client.delete(resources.Pod, { namespace: "a", name: "low" }, { gracePeriodSeconds: 0 });
  await settle();
  await clock.advance(2000);
  expect([await nodeOf("high"), await nodeOf("middle")]).toEqual(["n1", undefined]);
});
