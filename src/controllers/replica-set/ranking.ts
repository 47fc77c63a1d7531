import { parseTime, type Pod } from "../../kube/index.ts";
import { isReady, readySince, restartsOf } from "../pods.ts";

const phases: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 };

/** Annotation by which a user says what losing a pod costs; lower goes first. */
const costAnnotation = "controller.kubernetes.io/pod-deletion-cost";

/**
 * Pods in the order in which they may best be done without: not yet placed, not yet running, not ready, cheap by their
 * own word, crowded on their node, recently ready, often restarted, young (KEP-2185: ages count in powers of two).
 * `crowd` says how many related pods the pod's node has.
 */
export function byDispensability(
  pods: readonly Pod[],
  crowd: (nodeName: string | undefined) => number,
  now: number,
): Pod[] {
  const criteria: ((pod: Pod) => number)[] = [
    (pod) => (pod.spec.nodeName ? 1 : 0),
    (pod) => phases[pod.status?.phase ?? "Pending"] ?? 0,
    (pod) => (isReady(pod) ? 1 : 0),
    (pod) => costOf(pod),
    (pod) => -crowd(pod.spec.nodeName),
    (pod) => magnitude(readySince(pod), now),
    (pod) => -restartsOf(pod),
    (pod) => magnitude(parseTime(pod.metadata.creationTimestamp ?? ""), now),
  ];
  return pods
    .map((pod) => ({ pod, ranks: criteria.map((criterion) => criterion(pod)) }))
    .sort((a, b) => {
      for (const [i, rank] of a.ranks.entries()) {
        const difference = rank - (b.ranks[i] ?? 0);
        if (difference !== 0) return difference;
      }
      return (a.pod.metadata.uid ?? "") < (b.pod.metadata.uid ?? "") ? -1 : 1;
    })
    .map(({ pod }) => pod);
}

function costOf(pod: Pod): number {
  const text = pod.metadata.annotations?.[costAnnotation] ?? "0";
  return /^[+-]?(0|[1-9]\d*)$/.test(text) ? Number(text) : 0;
}

/** Larger for what is older, in powers of two of seconds; 0 for what never was. */
function magnitude(since: number | undefined, now: number): number {
  return since === undefined ? 0 : 1 + Math.floor(Math.log2(Math.max(1, (now - since) / 1000)));
}
