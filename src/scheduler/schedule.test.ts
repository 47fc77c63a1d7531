import { describe, expect, test } from "vitest";
import type { Node, Pod, PodSpec } from "../kube/index.ts";
import { schedule } from "./schedule.ts";
import { createClusterState } from "./state.ts";
import type { Surroundings } from "./surroundings.ts";
import { storageOf } from "./testing.ts";

const alone: Surroundings = { namespaceLabels: () => ({}), relatedTo: () => () => false, storage: storageOf() };
const container = { name: "c", image: "i" };

function node(
  name: string,
  change: Partial<Node["spec"]> & { labels?: Record<string, string>; cpu?: string; ready?: string } = {},
): Node {
  const { labels, cpu = "4", ready = "True", ...spec } = change;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { "kubernetes.io/hostname": name, ...labels } },
    spec,
    status: { allocatable: { cpu, memory: "8Gi", pods: "3" }, conditions: [{ type: "Ready", status: ready }] },
  };
}

let serial = 0;
function pod(spec: Partial<PodSpec> = {}, labels: Record<string, string> = {}): Pod {
  const name = `p${++serial}`;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "a", uid: name, labels },
    spec: { containers: [container], ...spec },
  };
}

function place(wanted: Pod, nodes: readonly Node[], running: readonly Pod[] = [], surroundings = alone): string {
  const state = createClusterState();
  for (const item of nodes) state.setNode(item);
  for (const item of running) state.setPod(item);
  const placement = schedule(wanted, state.nodes(), surroundings);
  return "nodeName" in placement ? placement.nodeName : placement.message;
}

const cpu = (requests: string): Partial<PodSpec> => ({
  containers: [{ ...container, resources: { requests: { cpu: requests } } }],
});
const required = (key: string, operator: string, values: string[]): Partial<PodSpec> => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key, operator, values }] }],
      },
    },
  },
});
const port = (hostPort: number, hostIP?: string): Partial<PodSpec> => ({
  containers: [{ ...container, ports: [{ containerPort: 80, hostPort, ...(hostIP ? { hostIP } : {}) }] }],
});
const web = { app: "web" };
const selector = { matchLabels: web };
const spread = (whenUnsatisfiable: string, topologyKey = "zone"): Partial<PodSpec> => ({
  topologySpreadConstraints: [{ maxSkew: 1, topologyKey, whenUnsatisfiable, labelSelector: selector }],
});
const far: Partial<PodSpec> = {
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey: "kubernetes.io/hostname", labelSelector: selector },
      ],
    },
  },
};
const near: Partial<PodSpec> = {
  affinity: {
    podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "zone", labelSelector: selector }] },
  },
};

describe("one node that can't take the pod says why", () => {
  const affinity = "node(s) didn't match Pod's node affinity/selector";
  test.each<[string, Pod, Node, Pod[]]>([
    ["node(s) were unschedulable", pod(), node("n", { unschedulable: true }), []],
    [
      "node(s) had untolerated taint {k: v}",
      pod(),
      node("n", { taints: [{ key: "k", value: "v", effect: "NoSchedule" }] }),
      [],
    ],
    ["node(s) had untolerated taint {node.kubernetes.io/not-ready: }", pod(), node("n", { ready: "False" }), []],
    ["node(s) had untolerated taint {node.kubernetes.io/unreachable: }", pod(), node("n", { ready: "Unknown" }), []],
    [affinity, pod({ nodeSelector: { disk: "ssd" } }), node("n"), []],
    [affinity, pod(required("disk", "In", ["ssd"])), node("n"), []],
    [affinity, pod(required("disk", "NotIn", ["hdd"])), node("n", { labels: { disk: "hdd" } }), []],
    [affinity, pod(required("cores", "Gt", ["4"])), node("n", { labels: { cores: "4" } }), []],
    [
      "node(s) didn't have free ports for the requested pod ports",
      pod(port(80)),
      node("n"),
      [pod({ ...port(80, "10.0.0.1"), nodeName: "n" })],
    ],
    ["Insufficient cpu", pod(cpu("3")), node("n"), [pod({ ...cpu("1001m"), nodeName: "n" })]],
    [
      "Insufficient example.com/gpu",
      pod({ containers: [{ ...container, resources: { requests: { "example.com/gpu": "1" } } }] }),
      node("n"),
      [],
    ],
    ["Too many pods", pod(), node("n"), [1, 2, 3].map(() => pod({ nodeName: "n" }))],
    [
      "node(s) didn't match pod topology spread constraints (missing required label)",
      pod(spread("DoNotSchedule")),
      node("n"),
      [],
    ],
    ["node(s) didn't match pod anti-affinity rules", pod(far, web), node("n"), [pod({ nodeName: "n" }, web)]],
    [
      "node(s) didn't satisfy existing pods anti-affinity rules",
      pod({}, web),
      node("n"),
      [pod({ ...far, nodeName: "n" })],
    ],
    ["node(s) didn't match pod affinity rules", pod(near), node("n", { labels: { zone: "a" } }), []],
  ])("%s", (reason, wanted, where, running) => {
    expect(place(wanted, [where], running)).toBe(`0/1 nodes are available: 1 ${reason}.`);
  });
});

test("several nodes: reasons are counted and sorted", () => {
  const nodes = [node("a", { unschedulable: true }), node("b"), node("c")];
  expect(place(pod(cpu("5")), nodes)).toBe(
    "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.",
  );
  expect(place(pod(), [])).toBe("no nodes available to schedule pods");
});

describe("a pod goes where it may", () => {
  const tainted = node("n", { taints: [{ key: "k", value: "v", effect: "NoSchedule" }] });
  test.each<[string, Pod, Node, Pod[]]>([
    ["a toleration with the value", pod({ tolerations: [{ key: "k", value: "v" }] }), tainted, []],
    ["a toleration of all", pod({ tolerations: [{ operator: "Exists" }] }), tainted, []],
    ["another host address", pod(port(80, "10.0.0.2")), node("n"), [pod({ ...port(80, "10.0.0.1"), nodeName: "n" })]],
    ["another term", pod(required("disk", "DoesNotExist", [])), node("n"), []],
    ["what is left", pod(cpu("3")), node("n"), [pod({ ...cpu("1"), nodeName: "n" })]],
    [
      "no room taken by what has ended",
      pod(cpu("3")),
      node("n"),
      [{ ...pod({ ...cpu("3"), nodeName: "n" }), status: { phase: "Succeeded" } }],
    ],
    ["the first of those that want to be near each other", pod(near, web), node("n", { labels: { zone: "a" } }), []],
  ])("%s", (_title, wanted, where, running) => {
    expect(place(wanted, [where], running)).toBe("n");
  });

  test("a toleration with another value does not help", () => {
    expect(place(pod({ tolerations: [{ key: "k", value: "w" }] }), [tainted])).toContain("untolerated taint");
  });
});

describe("among several the best", () => {
  const zones = [
    node("a1", { labels: { zone: "a" } }),
    node("a2", { labels: { zone: "a" } }),
    node("b1", { labels: { zone: "b" } }),
  ];

  test("the emptiest", () => {
    expect(place(pod(cpu("1")), [node("a"), node("b")], [pod({ ...cpu("2"), nodeName: "a" })])).toBe("b");
  });
  test("away from its like", () => {
    const related: Surroundings = { ...alone, relatedTo: () => () => true };
    const running = [pod({ nodeName: "a" }), pod({ ...cpu("300m"), nodeName: "b" }), pod({ nodeName: "a" })];
    expect(place(pod(), [node("a"), node("b"), node("c")], running, related)).toBe("c");
  });
  test("where it prefers to be", () => {
    const preferred = [
      { weight: 10, preference: { matchExpressions: [{ key: "disk", operator: "In", values: ["ssd"] }] } },
    ];
    const wanted = pod({ affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred } } });
    expect(place(wanted, [node("a"), node("b", { labels: { disk: "ssd" } })])).toBe("b");
  });
  test("not where a soft taint is", () => {
    expect(place(pod(), [node("a", { taints: [{ key: "k", effect: "PreferNoSchedule" }] }), node("b")])).toBe("b");
  });
  test("a hard spread over zones decides, a soft one leans", () => {
    const running = [pod({ nodeName: "a1" }, web), pod({ ...cpu("2"), nodeName: "b1" })];
    expect(place(pod(spread("DoNotSchedule"), web), zones, running)).toBe("b1");
    expect(place(pod(spread("ScheduleAnyway"), web), zones, running.slice(0, 1))).toBe("b1");
  });
  test("near the pods it wants to be near", () => {
    expect(place(pod(near), zones, [pod({ ...cpu("1"), nodeName: "b1" }, web)])).toBe("b1");
  });
});
