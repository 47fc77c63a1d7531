import type { Node, Pod, Taint, Toleration } from "../kube/index.ts";

/** True when the toleration covers the taint; an empty key with `Exists` covers all, an absent effect every effect. */
export function tolerationCovers(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  const operator = toleration.operator ?? "Equal";
  return operator === "Exists" || (Boolean(toleration.key) && (toleration.value ?? "") === (taint.value ?? ""));
}

export const tolerates = ({ spec }: Pod, taint: Taint): boolean =>
  (spec.tolerations ?? []).some((toleration) => tolerationCovers(toleration, taint));

/**
 * Taints that keep pods off the node. Its own conditions count at once, even before the controller that turns them into
 * taints has seen them.
 */
export function hardTaintsOf({ spec, status }: Node): Taint[] {
  const taints = (spec?.taints ?? []).filter(({ effect }) => effect !== "PreferNoSchedule");
  const ready = status?.conditions?.find(({ type }) => type === "Ready")?.status ?? "Unknown";
  const key =
    ready === "Unknown" && status?.conditions ? "node.kubernetes.io/unreachable" : "node.kubernetes.io/not-ready";
  if (ready === "True" || taints.some((taint) => taint.key === key)) return taints;
  return [...taints, { key, effect: "NoSchedule" }];
}

/** How many soft taints of the node the pod does not tolerate. */
export function softTaintsAgainst(pod: Pod, { spec }: Node): number {
  return (spec?.taints ?? []).filter((taint) => taint.effect === "PreferNoSchedule" && !tolerates(pod, taint)).length;
}
