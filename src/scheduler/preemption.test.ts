import { describe, expect, test } from "vitest";
import type { Node, Pod, PodDisruptionBudget } from "../kube/index.ts";
import { preempt, type Preemption } from "./preemption.ts";
import { schedule } from "./schedule.ts";
import { createClusterState } from "./state.ts";
import type { Surroundings } from "./surroundings.ts";
import { storageOf } from "./testing.ts";

const surroundings: Surroundings = {
  namespaceLabels: () => ({}),
  relatedTo: () => () => false,
  storage: storageOf(),
};

interface Wish {
  readonly cpu?: number;
  readonly priority?: number;
  readonly node?: string;
  readonly labels?: Record<string, string>;
  readonly hostPort?: number;
  /** Keeps pods with the label app=web out of its zone. */
  readonly apart?: boolean;
  readonly started?: number;
}

const zone = "topology.kubernetes.io/zone";

function podOf(name: string, wish: Wish = {}, more: Partial<Pod["spec"]> = {}): Pod {
  const { cpu = 0, priority = 0, node, labels = {}, hostPort, apart, started } = wish;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "a", uid: name, labels },
    spec: {
      priority,
      containers: [
        {
          name: "c",
          image: "i",
          resources: { requests: { cpu: `${cpu}m` } },
          ...(hostPort ? { ports: [{ containerPort: hostPort, hostPort }] } : {}),
        },
      ],
      ...(node ? { nodeName: node } : {}),
      ...(apart
        ? {
            affinity: {
              podAntiAffinity: {
                requiredDuringSchedulingIgnoredDuringExecution: [
                  { topologyKey: zone, labelSelector: { matchLabels: { app: "web" } } },
                ],
              },
            },
          }
        : {}),
      ...more,
    },
    ...(started === undefined ? {} : { status: { startTime: new Date(started * 1000).toISOString() } }),
  };
}

const nodeOf = (name: string, cpu = "1000m", pods = "10", labels: Record<string, string> = {}): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name, labels: { "kubernetes.io/hostname": name, [zone]: name, ...labels } },
  spec: {},
  status: { allocatable: { cpu, pods }, conditions: [{ type: "Ready", status: "True" }] },
});

const budgetOf = (app: string, allowed: number, disrupted: readonly string[] = []): PodDisruptionBudget => ({
  apiVersion: "policy/v1",
  kind: "PodDisruptionBudget",
  metadata: { name: app, namespace: "a" },
  spec: { selector: { matchLabels: { app } } },
  status: {
    disruptionsAllowed: allowed,
    currentHealthy: 0,
    desiredHealthy: 0,
    expectedPods: 0,
    disruptedPods: Object.fromEntries(disrupted.map((name) => [name, "2026-01-01T00:00:00Z"])),
  },
});

function run(
  pod: Pod,
  nodes: readonly Node[],
  running: readonly Pod[],
  budgets: readonly PodDisruptionBudget[] = [],
): { found: Preemption; message: string } {
  const state = createClusterState();
  for (const node of nodes) state.setNode(node);
  for (const one of [...running, pod]) state.setPod(one);
  const placement = schedule(pod, state.nodes(), surroundings);
  if ("nodeName" in placement) throw new Error("it has a place");
  const counted = state.nodes().map(({ requested }) => [...requested]);
  const found = preempt(pod, state.nodes(), placement.objections, surroundings, budgets);
  // A decision changes nothing of what it looks at.
  expect(state.nodes().map(({ requested }) => [...requested])).toEqual(counted);
  expect(preempt(pod, state.nodes(), placement.objections, surroundings, budgets)).toEqual(found);
  return { found, message: placement.message };
}

const told = ({ found }: { found: Preemption }): string =>
  "message" in found
    ? found.message
    : `${found.nodeName}: ${found.victims.map(({ metadata }) => metadata.name).join(" ")}`;

describe("no pod ends", () => {
  const full = [podOf("a", { cpu: 1000, node: "n" })];
  test.each<[string, Pod, readonly Node[], readonly Pod[]]>([
    [
      "0/1 nodes are available: 1 No preemption victims found for incoming pod.",
      podOf("p", { cpu: 500 }),
      [nodeOf("n")],
      full,
    ],
    [
      "0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.",
      podOf("p", { cpu: 500 }),
      [nodeOf("n"), { ...nodeOf("o"), spec: { unschedulable: true } }],
      full,
    ],
    [
      "0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
      podOf("p", { cpu: 1001, priority: 1 }),
      [nodeOf("n")],
      full,
    ],
    [
      "0/1 nodes are available: 1 Insufficient cpu.",
      podOf("p", { cpu: 600, priority: 1 }),
      [nodeOf("n")],
      [podOf("a", { cpu: 500, node: "n", priority: 1 }), podOf("b", { cpu: 500, node: "n" })],
    ],
    [
      "not eligible due to preemptionPolicy=Never.",
      podOf("p", { cpu: 500, priority: 1 }, { preemptionPolicy: "Never" }),
      [nodeOf("n")],
      full,
    ],
  ])("%s", (message, pod, nodes, running) => {
    expect(told(run(pod, nodes, running))).toBe(message);
  });

  test("while others end for it already", () => {
    const pod = { ...podOf("p", { cpu: 500, priority: 1 }), status: { nominatedNodeName: "n" } };
    const [victim] = full;
    const ending = (reason: string): Pod => ({
      ...(victim as Pod),
      metadata: { ...(victim as Pod).metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
      status: { conditions: [{ type: "DisruptionTarget", status: "True", reason }] },
    });
    expect(told(run(pod, [nodeOf("n")], [ending("PreemptionByScheduler")]))).toBe(
      "not eligible due to a terminating pod on the nominated node.",
    );
    expect(told(run(pod, [nodeOf("n")], [ending("EvictionByEvictionAPI")]))).toBe("n: a");
  });
});

describe("of several nodes the one where the least is lost", () => {
  const pod = podOf("p", { cpu: 1000, priority: 100 });
  const nodes = [nodeOf("n1"), nodeOf("n2")];
  test.each<[string, readonly Pod[], readonly PodDisruptionBudget[], string]>([
    [
      "the fewest that a budget protects",
      [
        podOf("a", { cpu: 1000, node: "n1", labels: { app: "web" } }),
        podOf("b", { cpu: 1000, node: "n2", priority: 9 }),
      ],
      [budgetOf("web", 0)],
      "n2: b",
    ],
    [
      "a disruption that is counted already is free",
      [
        podOf("a", { cpu: 1000, node: "n1", labels: { app: "web" } }),
        podOf("b", { cpu: 1000, node: "n2", priority: 9 }),
      ],
      [budgetOf("web", 0, ["a"])],
      "n1: a",
    ],
    [
      "the lowest priority of the highest",
      [
        podOf("a", { cpu: 1000, node: "n1", priority: 9 }),
        podOf("b", { cpu: 500, node: "n2", priority: 8 }),
        podOf("c", { cpu: 500, node: "n2", priority: 8 }),
      ],
      [],
      "n2: b c",
    ],
    [
      "the lowest sum",
      [
        podOf("a", { cpu: 500, node: "n1", priority: 9 }),
        podOf("b", { cpu: 500, node: "n1", priority: 8 }),
        podOf("c", { cpu: 500, node: "n2", priority: 9 }),
        podOf("d", { cpu: 500, node: "n2", priority: 7 }),
      ],
      [],
      "n2: c d",
    ],
    [
      "the fewest, however low they are",
      [
        podOf("a", { cpu: 500, node: "n1", priority: -5 }),
        podOf("b", { cpu: 500, node: "n1", priority: -5 }),
        podOf("c", { cpu: 1000, node: "n2", priority: -5 }),
      ],
      [],
      "n2: c",
    ],
    [
      "those that started last",
      [podOf("a", { cpu: 1000, node: "n1", started: 10 }), podOf("b", { cpu: 1000, node: "n2", started: 20 })],
      [],
      "n2: b",
    ],
    ["the first", [podOf("a", { cpu: 1000, node: "n1" }), podOf("b", { cpu: 1000, node: "n2" })], [], "n1: a"],
  ])("%s", (_title, running, budgets, expected) => {
    expect(told(run(pod, nodes, running, budgets))).toBe(expected);
  });
});

test("pods that may not be near end where they stand in the way, also for a pod that wants nothing", () => {
  const web = { app: "web" };
  const running = [podOf("a", { node: "n1", apart: true }), podOf("b", { node: "n1", priority: 5 })];
  expect(told(run(podOf("p", { labels: web, priority: 9 }), [nodeOf("n1")], running))).toBe("n1: a");
});

test("room that is kept for a pod is another's only by priority", () => {
  const state = createClusterState();
  state.setNode(nodeOf("n1"));
  const kept = podOf("kept", { cpu: 800, priority: 5 });
  state.nominate(kept, "n1");
  const place = (pod: Pod): string => {
    const placement = schedule(pod, state.nodes(), surroundings);
    return "nodeName" in placement ? placement.nodeName : placement.message;
  };
  const none = "0/1 nodes are available: 1 Insufficient cpu.";
  expect(place(podOf("low", { cpu: 500, priority: 4 }))).toBe(none);
  expect(place(podOf("even", { cpu: 500, priority: 5 }))).toBe(none);
  expect(place(podOf("small", { cpu: 200, priority: 4 }))).toBe("n1");
  expect(place(podOf("high", { cpu: 500, priority: 6 }))).toBe("n1");
  expect(place(kept)).toBe("n1");
});

/** Numbers that are the same in each run (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}

/** What is asked of a pod and of nodes here, without the scheduler's own parts. */
interface Case {
  readonly pod: Wish & { readonly name: string };
  readonly nodes: readonly {
    readonly name: string;
    readonly zone: string;
    readonly cpu: number;
    readonly pods: number;
  }[];
  readonly running: readonly (Wish & { readonly name: string; readonly node: string })[];
  readonly allowed: number;
}

function caseOf(seed: number): Case {
  const number = numbers(seed);
  const count = 1 + number(3);
  const nodes = Array.from({ length: count }, (_, i) => ({
    name: `n${i}`,
    zone: `z${number(2)}`,
    cpu: 400 + 100 * number(7),
    pods: 2 + number(5),
  }));
  const wish = (): Wish => ({
    cpu: 100 * number(5),
    priority: number(4) - 1,
    labels: [{ app: "web" }, { app: "db" }, {}][number(3)] ?? {},
    ...(number(4) === 0 ? { hostPort: 80 + number(2) } : {}),
    apart: number(5) === 0,
    started: number(4),
  });
  const running = nodes.flatMap(({ name }, i) =>
    Array.from({ length: number(6) }, (_, j) => ({ ...wish(), name: `r${i}-${j}`, node: name })),
  );
  return {
    nodes,
    running,
    allowed: number(3) - 1,
    pod: { ...wish(), name: "p", priority: number(4), cpu: 100 + 100 * number(6) },
  };
}

/** True when the pod may be on the node beside those that run. */
function fits({ pod, nodes }: Case, node: Case["nodes"][number], running: Case["running"]): boolean {
  const here = running.filter((other) => other.node === node.name);
  const used = here.reduce((sum, { cpu = 0 }) => sum + cpu, 0);
  if (used + (pod.cpu ?? 0) > node.cpu || here.length + 1 > node.pods) return false;
  if (pod.hostPort !== undefined && here.some(({ hostPort }) => hostPort === pod.hostPort)) return false;
  const zoneOf = (name: string): string | undefined => nodes.find((one) => one.name === name)?.zone;
  const near = running.filter((other) => zoneOf(other.node) === node.zone);
  const isWeb = ({ labels }: Wish): boolean => labels?.["app"] === "web";
  return !(pod.apart && near.some(isWeb)) && !(isWeb(pod) && near.some(({ apart }) => apart));
}

/** The best answer among all sets of pods on all nodes. */
function bruteForce(wanted: Case): string | undefined {
  const { pod, nodes, running, allowed } = wanted;
  const priority = ({ priority: value = 0 }: Wish): number => value;
  const candidates = nodes.flatMap((node) => {
    const lower = running
      .filter((other) => other.node === node.name && priority(other) < priority(pod))
      .sort((a, b) => priority(b) - priority(a) || (a.started ?? 0) - (b.started ?? 0));
    let left = allowed;
    const isKept = new Map(lower.map((other) => [other, other.labels?.["app"] === "db" && left-- <= 0]));
    // What a budget protects is spared first, then by importance.
    const order = [...lower.filter((one) => isKept.get(one)), ...lower.filter((one) => !isKept.get(one))];
    let best: Case["running"] | undefined;
    // Sets in the order in which they spare the most important ones first.
    for (let set = 0; set < 2 ** order.length && !best; set++) {
      const victims = order.filter((_, i) => set & (1 << (order.length - 1 - i)));
      const rest = running.filter((other) => !victims.some((victim) => victim === other));
      if (fits(wanted, node, rest)) best = victims;
    }
    if (!best || lower.length === 0) return [];
    const victims = lower.filter((one) => best.includes(one));
    const highest = Math.max(...victims.map(priority));
    const cost = [
      victims.filter((one) => isKept.get(one)).length,
      highest,
      victims.reduce((sum, one) => sum + priority(one) + 2 ** 31, 0),
      victims.length,
      -Math.min(...victims.filter((one) => priority(one) === highest).map(({ started = 0 }) => started)),
    ];
    return [{ node, victims, cost }];
  });
  const [first, ...others] = candidates;
  if (!first) return undefined;
  const best = others.reduce((least, one) => {
    const at = one.cost.findIndex((value, i) => value !== least.cost[i]);
    return at >= 0 && (one.cost[at] ?? 0) < (least.cost[at] ?? 0) ? one : least;
  }, first);
  return `${best.node.name}: ${best.victims.map(({ name }) => name).join(" ")}`;
}

test("it is what trying all sets of pods on all nodes finds", () => {
  const counts = { placed: 0, made: 0, none: 0 };
  for (let seed = 1; seed <= 1000; seed++) {
    const wanted = caseOf(seed);
    const { name, ...wish } = wanted.pod;
    const pod = podOf(name, wish);
    if (wanted.nodes.some((node) => fits(wanted, node, wanted.running))) {
      counts.placed++;
      continue;
    }
    const nodes = wanted.nodes.map((node) => nodeOf(node.name, `${node.cpu}m`, `${node.pods}`, { [zone]: node.zone }));
    const running = wanted.running.map(({ name: other, ...its }) => podOf(other, its));
    const { found } = run(pod, nodes, running, [budgetOf("db", wanted.allowed)]);
    const expected = bruteForce(wanted);
    counts[expected === undefined ? "none" : "made"]++;
    expect({ seed, found: "message" in found ? undefined : told({ found }) }).toEqual({ seed, found: expected });
  }
  expect(Math.min(...Object.values(counts))).toBeGreaterThan(80);
});
