import { findCondition, formatTime, type Node, type NodeCondition, type Taint } from "../../kube/index.ts";

/** Conditions that a silent kubelet leaves unknown. */
const posted = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/** The conditions of a node whose kubelet has been silent for too long. */
export function unknownConditions(node: Node, now: number): NodeCondition[] {
  const time = formatTime(now);
  const known = node.status?.conditions ?? [];
  const conditions = known.map((condition) =>
    posted.includes(condition.type) && condition.status !== "Unknown"
      ? {
          ...condition,
          status: "Unknown",
          reason: "NodeStatusUnknown",
          message: "Kubelet stopped posting node status.",
          lastTransitionTime: time,
        }
      : condition,
  );
  const missing = posted.filter((type) => !findCondition(known, type));
  return [
    ...conditions,
    ...missing.map((type) => ({
      type,
      status: "Unknown",
      reason: "NodeStatusNeverUpdated",
      message: "Kubelet never posted node status.",
      lastHeartbeatTime: node.metadata.creationTimestamp ?? time,
      lastTransitionTime: time,
    })),
  ];
}

export const readinessOf = ({ status }: Node): string =>
  findCondition(status?.conditions, "Ready")?.status ?? "Unknown";

const notReady = "node.kubernetes.io/not-ready";
const unreachable = "node.kubernetes.io/unreachable";
const pressure: Readonly<Record<string, string>> = {
  MemoryPressure: "node.kubernetes.io/memory-pressure",
  DiskPressure: "node.kubernetes.io/disk-pressure",
  PIDPressure: "node.kubernetes.io/pid-pressure",
  NetworkUnavailable: "node.kubernetes.io/network-unavailable",
};
const unschedulable = "node.kubernetes.io/unschedulable";
const managed = new Set([notReady, unreachable, unschedulable, ...Object.values(pressure)]);

/**
 * The taints that a node's conditions make, beside those that others set. `evict`: pods without toleration have to leave a
 * node that isn't ready. Returns the same list when nothing changes.
 */
export function taintsOf(node: Node, evict: boolean, now: number): readonly Taint[] {
  const old = node.spec.taints ?? [];
  const ready = readinessOf(node);
  const wanted: Taint[] = [];
  if (node.spec.unschedulable) wanted.push({ key: unschedulable, effect: "NoSchedule" });
  for (const [type, key] of Object.entries(pressure)) {
    if (findCondition(node.status?.conditions, type)?.status === "True") wanted.push({ key, effect: "NoSchedule" });
  }
  if (ready !== "True") {
    const key = ready === "False" ? notReady : unreachable;
    wanted.push({ key, effect: "NoSchedule" });
    if (evict) wanted.push({ key, effect: "NoExecute" });
  }
  const same = (a: Taint) => (b: Taint) => a.key === b.key && a.effect === b.effect;
  const kept = old.filter((taint) => !managed.has(taint.key) || wanted.some(same(taint)));
  const added = wanted
    .filter((taint) => !old.some(same(taint)))
    .map((taint) => ({ ...taint, timeAdded: formatTime(now) }));
  return kept.length === old.length && added.length === 0 ? old : [...kept, ...added];
}
