import { findCondition, isConditionTrue, parseTime, type Pod } from "../kube/index.ts";

/** True when the pod has come to its end and will not run again. */
export const isTerminal = ({ status }: Pod): boolean => status?.phase === "Succeeded" || status?.phase === "Failed";

/** True when the pod counts as a replica: neither at its end nor on its way out. */
export const isActive = (pod: Pod): boolean => !isTerminal(pod) && pod.metadata.deletionTimestamp === undefined;

export const isReady = ({ status }: Pod): boolean => isConditionTrue(status?.conditions, "Ready");

/** When the pod became ready, in milliseconds; undefined when it isn't. */
export function readySince({ status }: Pod): number | undefined {
  const ready = findCondition(status?.conditions, "Ready");
  return ready?.status === "True" ? (parseTime(ready.lastTransitionTime ?? "") ?? 0) : undefined;
}

/**
 * Milliseconds until the pod is available, that is, has been ready for `minReadySeconds`; 0 when it is.
 * Undefined when it is not ready.
 */
export function availableIn(pod: Pod, minReadySeconds: number, now: number): number | undefined {
  if (minReadySeconds === 0) return isReady(pod) ? 0 : undefined;
  const since = readySince(pod);
  return since === undefined ? undefined : Math.max(0, since + minReadySeconds * 1000 - now);
}

/** How often the pod's containers were started again. */
export const restartsOf = ({ status }: Pod): number =>
  Math.max(0, ...(status?.containerStatuses ?? []).map(({ restartCount }) => restartCount));
