import type { Pod } from "../kube/index.ts";
import { nodeAdmits } from "./node-affinity.ts";
import { draftOf, hostPortsOf, type NodeInfo, portsConflict } from "./node-info.ts";
import { createPodAffinityFilter } from "./pod-affinity.ts";
import { priorityOf } from "./priority.ts";
import { requestsOf } from "./resources.ts";
import type { Surroundings } from "./surroundings.ts";
import { hardTaintsOf, tolerates } from "./taints.ts";
import { createSpreadFilter } from "./topology.ts";
import { createVolumeFilter } from "./volumes.ts";

/** What keeps a pod off a node. */
export interface Objection {
  /** In upstream's words. */
  readonly reasons: readonly string[];
  /** True when other pods are the cause, so that it may be gone when they are. */
  readonly curable: boolean;
}

/** One of the filters that depend on the pods of all nodes: what they need of the cluster is counted once. */
export interface CountingFilter {
  check(info: NodeInfo): Objection | undefined;
  /** Counts a pod on a node in (1) or out (-1), for the checks that follow. */
  count(other: Pod, info: NodeInfo, by: 1 | -1): void;
}

const podsWithoutLimit = 110;

const fixed = (...reasons: string[]): Objection => ({ reasons, curable: false });
const byOthers = (...reasons: string[]): Objection => ({ reasons, curable: true });

/**
 * All filters for one pod; the first that objects decides. Who has more to say here and waits for its place (`nominated`)
 * counts as if it were there; but it may not come, so the pod must do without it as well.
 */
export function createFilter(pod: Pod, nodes: readonly NodeInfo[], surroundings: Surroundings): CountingFilter {
  const ports = hostPortsOf(pod);
  const wanted = requestsOf(pod);
  const priority = priorityOf(pod);
  const counting = [
    createVolumeFilter(pod, nodes, surroundings.storage),
    createSpreadFilter(pod, nodes),
    createPodAffinityFilter(pod, nodes, surroundings.namespaceLabels),
  ];

  const checkAsIs = (info: NodeInfo): Objection | undefined => {
    const { node } = info;
    if (
      node.spec?.unschedulable &&
      !tolerates(pod, { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" })
    ) {
      return fixed("node(s) were unschedulable");
    }
    const taint = hardTaintsOf(node).find((found) => !tolerates(pod, found));
    if (taint) return fixed(`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ""}}`);
    if (!nodeAdmits(pod, node)) return fixed("node(s) didn't match Pod's node affinity/selector");
    if (ports.length > 0) {
      const taken = [...info.pods.values()].flatMap(hostPortsOf);
      if (ports.some((port) => taken.some((other) => portsConflict(port, other)))) {
        return byOthers("node(s) didn't have free ports for the requested pod ports");
      }
    }
    const lacking = lacks(info, wanted);
    if (lacking) return lacking;
    for (const filter of counting) {
      const found = filter.check(info);
      if (found) return found;
    }
    return undefined;
  };

  const count: CountingFilter["count"] = (other, info, by) => {
    for (const filter of counting) filter.count(other, info, by);
  };

  return {
    count,
    check(info) {
      if (info.nominated.size === 0) return checkAsIs(info);
      const ahead = [...info.nominated.values()].filter(
        (other) =>
          other.metadata.uid !== pod.metadata.uid &&
          priorityOf(other) >= priority &&
          !info.pods.has(other.metadata.uid ?? ""),
      );
      if (ahead.length > 0) {
        const draft = draftOf(info);
        for (const other of ahead) {
          draft.add(other);
          count(other, info, 1);
        }
        const found = checkAsIs(draft);
        for (const other of ahead) count(other, info, -1);
        if (found) return found;
      }
      return checkAsIs(info);
    },
  };
}

function lacks({ pods, allocatable, requested }: NodeInfo, wanted: ReadonlyMap<string, number>): Objection | undefined {
  const most = allocatable.get("pods") ?? podsWithoutLimit;
  const reasons = pods.size + 1 > most ? ["Too many pods"] : [];
  let curable = most > 0;
  for (const [name, amount] of wanted) {
    const all = allocatable.get(name) ?? 0;
    // A pod that wants nothing fits even where too much is taken already.
    if (amount === 0 || amount <= all - (requested.get(name) ?? 0)) continue;
    reasons.push(`Insufficient ${name}`);
    curable &&= amount <= all;
  }
  return reasons.length > 0 ? { reasons, curable } : undefined;
}
