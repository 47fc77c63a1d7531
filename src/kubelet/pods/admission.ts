import type { Pod } from "../../kube/index.ts";
import { hostPortsOf, portsConflict } from "../../scheduler/index.ts";
import { isTerminal } from "./pod-view.ts";

/** Why a node does not take a pod, as its status says it. */
export interface Rejection {
  readonly reason: string;
  readonly message: string;
}

/**
 * What the node itself has against a pod that it has not begun with; `others` are the pods bound to it. Who binds pods without the scheduler
 * is not asked by it: of two that want one host port, the second is refused, as upstream's kubelet does.
 */
export function rejectionOf(pod: Pod, others: readonly Pod[]): Rejection | undefined {
  const wanted = hostPortsOf(pod);
  if (wanted.length === 0 || pod.status?.startTime) return undefined;
  const taken = others
    .filter((other) => other.metadata.uid !== pod.metadata.uid && other.status?.startTime && !isTerminal(other))
    .flatMap(hostPortsOf);
  if (!wanted.some((port) => taken.some((other) => portsConflict(port, other)))) return undefined;
  return { reason: "NodePorts", message: "Pod was rejected: Predicate NodePorts failed" };
}
