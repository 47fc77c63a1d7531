import type { Pod } from "../kube/index.ts";
import { nodeAdmits } from "./node-affinity.ts";
import { hostPortsOf, type NodeInfo, portsConflict } from "./node-info.ts";
import { createPodAffinityFilter } from "./pod-affinity.ts";
import { requestsOf } from "./resources.ts";
import type { Surroundings } from "./surroundings.ts";
import { hardTaintsOf, tolerates } from "./taints.ts";
import { createSpreadFilter } from "./topology.ts";

/** Why a pod can't go to a node, in upstream's words; empty when it can. */
export type Filter = (info: NodeInfo) => readonly string[];

const podsWithoutLimit = 110;

/** All filters for one pod; what they need of the cluster is counted once. The first that objects decides. */
export function createFilter(pod: Pod, nodes: readonly NodeInfo[], { namespaceLabels }: Surroundings): Filter {
  const ports = hostPortsOf(pod);
  const wanted = requestsOf(pod);
  const spread = createSpreadFilter(pod, nodes);
  const affinity = createPodAffinityFilter(pod, nodes, namespaceLabels);

  return (info) => {
    const { node } = info;
    if (
      node.spec?.unschedulable &&
      !tolerates(pod, { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" })
    ) {
      return ["node(s) were unschedulable"];
    }
    const taint = hardTaintsOf(node).find((found) => !tolerates(pod, found));
    if (taint) return [`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ""}}`];
    if (!nodeAdmits(pod, node)) return ["node(s) didn't match Pod's node affinity/selector"];
    if (ports.length > 0) {
      const taken = [...info.pods.values()].flatMap(hostPortsOf);
      if (ports.some((port) => taken.some((other) => portsConflict(port, other)))) {
        return ["node(s) didn't have free ports for the requested pod ports"];
      }
    }
    const lacking = lacks(info, wanted);
    if (lacking.length > 0) return lacking;
    const reason = spread(info) ?? affinity(info);
    return reason ? [reason] : [];
  };
}

function lacks({ pods, allocatable, requested }: NodeInfo, wanted: ReadonlyMap<string, number>): string[] {
  const reasons = pods.size + 1 > (allocatable.get("pods") ?? podsWithoutLimit) ? ["Too many pods"] : [];
  for (const [name, amount] of wanted) {
    // A pod that wants nothing fits even where too much is taken already.
    if (amount > 0 && amount > (allocatable.get(name) ?? 0) - (requested.get(name) ?? 0))
      reasons.push(`Insufficient ${name}`);
  }
  return reasons;
}
