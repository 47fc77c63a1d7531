import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  findCondition,
  formatMicroTime,
  formatTime,
  type Node,
  type Pod,
  resources,
  type Toleration,
} from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { evictionTime, startTaintEviction } from "./eviction.ts";
import { startNodeLifecycle } from "./lifecycle.ts";
import { freeBlock, startPodCidrAllocator } from "./pod-cidr.ts";
import { startPodGarbageCollector } from "./pod-garbage.ts";

let cluster: TestCluster;
beforeEach(() => (cluster = startCluster()));
afterEach(() => cluster.stop());

const addNode = (name: string): Node =>
  cluster.client.put(resources.Node, {
    metadata: { name },
    spec: {},
    status: { conditions: [{ type: "Ready", status: "True", lastHeartbeatTime: formatTime(cluster.clock.now()) }] },
  });
const addPod = (name: string, nodeName: string, tolerations: Toleration[] = []): Pod =>
  cluster.client.put(resources.Pod, {
    metadata: { name, namespace: "a" },
    spec: { containers: [], nodeName, tolerations },
    status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
  });
const node = (name: string) => cluster.client.get(resources.Node, { name });
const renew = (name: string) =>
  cluster.client.put(resources.Lease, {
    metadata: { namespace: "kube-node-lease", name },
    spec: { renewTime: formatMicroTime(cluster.clock.now()) },
  });
const taints = async (name: string) =>
  (await node(name)).spec.taints?.map(({ key, effect }) => `${key}:${effect}`) ?? [];

/** Lets time pass; the nodes named go on giving signs of life. */
async function pass(seconds: number, ...alive: string[]): Promise<void> {
  for (let i = 0; i < seconds; i += 10) {
    for (const name of alive) renew(name);
    await cluster.settle();
    await cluster.clock.advance(10_000);
    await cluster.settle();
  }
}

describe("node lifecycle", () => {
  beforeEach(() => {
    startNodeLifecycle(cluster);
    addNode("n1");
    addNode("n2");
    addPod("p1", "n1");
  });

  test("a node whose Lease is renewed stays ready", async () => {
    await pass(120, "n1", "n2");
    expect(findCondition((await node("n1")).status?.conditions, "Ready")?.status).toBe("True");
    expect(await taints("n1")).toEqual([]);
  });

  test("a silent node becomes unknown and tainted, its pods not ready; when it speaks again all is well", async () => {
    await pass(60, "n2");
    const ready = findCondition((await node("n1")).status?.conditions, "Ready");
    expect(ready).toMatchObject({
      status: "Unknown",
      reason: "NodeStatusUnknown",
      message: "Kubelet stopped posting node status.",
    });
    expect(await taints("n1")).toEqual([
      "node.kubernetes.io/unreachable:NoSchedule",
      "node.kubernetes.io/unreachable:NoExecute",
    ]);
    expect(await taints("n2")).toEqual([]);
    const pod = await cluster.client.get(resources.Pod, { namespace: "a", name: "p1" });
    expect(findCondition(pod.status?.conditions, "Ready")?.status).toBe("False");
    const events = (await cluster.client.list(resources.Event)).items.map(({ message }) => message);
    expect(events).toContain("Node n1 status is now: NodeNotReady");

    const silent = await node("n1");
    const conditions = [{ type: "Ready", status: "True", lastHeartbeatTime: formatTime(cluster.clock.now()) }];
    await cluster.client.updateStatus(resources.Node, { ...silent, status: { conditions } });
    await cluster.settle();
    expect(await taints("n1")).toEqual([]);
  });

  test("a monitor that was away itself gives the nodes time to speak", async () => {
    await pass(20, "n1", "n2");
    // All timers are late at once, as after a machine has slept.
    await cluster.clock.advance(1);
    const sleeper = cluster.clock.now.bind(cluster.clock);
    Object.assign(cluster.clock, { now: () => sleeper() + 600_000 });
    await pass(30, "n2");
    expect(findCondition((await node("n1")).status?.conditions, "Ready")?.status).toBe("True");
    await pass(30, "n2");
    expect(findCondition((await node("n1")).status?.conditions, "Ready")?.status).toBe("Unknown");
  });

  test("when all nodes are lost nobody is evicted", async () => {
    await pass(60);
    expect(await taints("n1")).toEqual(["node.kubernetes.io/unreachable:NoSchedule"]);
    expect(await taints("n2")).toEqual(["node.kubernetes.io/unreachable:NoSchedule"]);
  });

  test("cordon and pressure are taints too; those of others stay", async () => {
    const change = { spec: { unschedulable: true, taints: [{ key: "mine", effect: "NoSchedule" }] } };
    await cluster.client.patch(resources.Node, { name: "n1" }, { type: "merge", body: change });
    const { status } = await node("n1");
    const conditions = [...(status?.conditions ?? []), { type: "DiskPressure", status: "True" }];
    await cluster.client.updateStatus(resources.Node, { ...(await node("n1")), status: { conditions } });
    await cluster.settle();
    expect((await taints("n1")).toSorted()).toEqual([
      "mine:NoSchedule",
      "node.kubernetes.io/disk-pressure:NoSchedule",
      "node.kubernetes.io/unschedulable:NoSchedule",
    ]);
    await cluster.client.patch(
      resources.Node,
      { name: "n1" },
      { type: "merge", body: { spec: { unschedulable: null } } },
    );
    await cluster.settle();
    expect(await taints("n1")).not.toContain("node.kubernetes.io/unschedulable:NoSchedule");
  });
});

describe("eviction by taints", () => {
  const at = Date.UTC(2030, 0, 1);
  const tainted = (...keys: string[]): Node => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "n" },
    spec: { taints: keys.map((key) => ({ key, effect: "NoExecute", timeAdded: formatTime(at) })) },
  });
  const pod = (...tolerations: Toleration[]): Pod => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p" },
    spec: { containers: [], tolerations },
  });
  test.each<[string, Pod, Node, number | undefined]>([
    ["no taint", pod(), tainted(), undefined],
    ["no toleration: at once", pod(), tainted("k"), 0],
    ["tolerated for good", pod({ key: "k", operator: "Exists" }), tainted("k"), undefined],
    ["tolerated for a while", pod({ key: "k", operator: "Exists", tolerationSeconds: 60 }), tainted("k"), at + 60_000],
    [
      "the shortest counts",
      pod({ operator: "Exists", tolerationSeconds: 90 }, { key: "k", operator: "Exists", tolerationSeconds: 60 }),
      tainted("k", "l"),
      at + 60_000,
    ],
    ["one of two is not tolerated", pod({ key: "k", operator: "Exists" }), tainted("k", "l"), 0],
  ])("%s", (_title, wanted, where, expected) => {
    expect(evictionTime(wanted, where, at + 5000)).toBe(expected);
  });

  test("a taint that doesn't say since when counts from when it was seen", () => {
    const untimed = { ...tainted("k"), spec: { taints: [{ key: "k", effect: "NoExecute" }] } };
    const tolerant = pod({ key: "k", operator: "Exists", tolerationSeconds: 60 });
    expect(evictionTime(tolerant, untimed, at + 5000)).toBe(at + 65_000);
  });

  test("pods leave when their time has come, and stay when the taint goes first", async () => {
    startTaintEviction(cluster);
    addNode("n1");
    addPod("now", "n1");
    addPod("later", "n1", [{ key: "k", operator: "Exists", tolerationSeconds: 60 }]);
    addPod("never", "n1", [{ operator: "Exists" }]);
    await cluster.settle();
    const setTaints = (list: object[]) =>
      cluster.client.patch(resources.Node, { name: "n1" }, { type: "merge", body: { spec: { taints: list } } });
    await setTaints([{ key: "k", effect: "NoExecute", timeAdded: formatTime(cluster.clock.now()) }]);
    await cluster.settle();
    const leaving = async () =>
      (await cluster.pods()).filter(({ metadata }) => metadata.deletionTimestamp).map(({ metadata }) => metadata.name);
    expect(await leaving()).toEqual(["now"]);
    await cluster.clock.advance(30_000);
    await setTaints([]);
    await cluster.settle();
    await cluster.clock.advance(60_000);
    expect(await leaving()).toEqual(["now"]);
    await setTaints([{ key: "k", effect: "NoExecute" }]);
    await cluster.settle();
    await cluster.clock.advance(55_000);
    expect(await leaving()).toEqual(["now"]);
    await cluster.clock.advance(6_000);
    await cluster.settle();
    expect(await leaving()).toEqual(["later", "now"]);
  });
});

describe("pod CIDRs", () => {
  test.each([
    ["10.42.0.0/16", [], "10.42.0.0/24"],
    ["10.42.0.0/16", ["10.42.0.0/24", "10.42.2.0/24"], "10.42.1.0/24"],
    ["10.42.0.0/23", ["10.42.0.0/24", "10.42.1.0/24"], undefined],
    ["10.42.0.0/26", [], "10.42.0.0/26"],
    ["fd00::/48", ["fd00::/64"], "fd00:0:0:1::/64"],
  ])("of %s, with %j taken, the next is %s", (range, taken, expected) => {
    expect(freeBlock(range, new Set(taken))).toBe(expected);
  });

  test("each node gets its own, keeps it, and one that goes gives it back", async () => {
    startPodCidrAllocator({ ...cluster, clusterCIDRs: ["10.42.0.0/16"] });
    for (const name of ["n1", "n2", "n3"]) addNode(name);
    await cluster.settle();
    const blocks = async () => (await cluster.client.list(resources.Node)).items.map(({ spec }) => spec.podCIDR);
    expect(new Set(await blocks())).toEqual(new Set(["10.42.0.0/24", "10.42.1.0/24", "10.42.2.0/24"]));
    const { podCIDR, podCIDRs } = (await node("n2")).spec;
    expect(podCIDRs).toEqual([podCIDR]);
    await cluster.client.delete(resources.Node, { name: "n2" });
    await cluster.settle();
    addNode("n4");
    await cluster.settle();
    expect((await node("n4")).spec.podCIDR).toBe(podCIDR);
  });

  test("a cluster of two families gives one of each, and a node of before keeps what it has", async () => {
    await cluster.client.create(resources.Node, { metadata: { name: "n0" }, spec: { podCIDR: "10.42.0.0/24" } });
    startPodCidrAllocator({ ...cluster, clusterCIDRs: ["10.42.0.0/16", "fd00:10:42::/48"] });
    for (const name of ["n1", "n2"]) addNode(name);
    await cluster.settle();
    const all = (await cluster.client.list(resources.Node)).items.map(({ spec }) => spec.podCIDRs ?? [spec.podCIDR]);
    expect(all.toSorted()).toEqual([
      ["10.42.0.0/24"],
      ["10.42.1.0/24", "fd00:10:42::/64"],
      ["10.42.2.0/24", "fd00:10:42:1::/64"],
    ]);
  });
});

test("pods of a node that is gone are removed, but not at once", async () => {
  startPodGarbageCollector(cluster);
  addNode("n1");
  addPod("stays", "n1");
  addPod("lost", "gone");
  await cluster.settle();
  await cluster.clock.advance(39_000);
  expect(await cluster.pods()).toHaveLength(2);
  await cluster.clock.advance(2_000);
  await cluster.settle();
  expect((await cluster.pods()).map(({ metadata }) => metadata.name)).toEqual(["stays"]);
});
