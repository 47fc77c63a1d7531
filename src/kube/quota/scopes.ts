import type { Pod, ResourceQuota } from "../generated/types.ts";
import type { KubeObject } from "../object.ts";
import type { Resource } from "../resource.ts";
import { qosClassOf } from "../core/pod-status.ts";

/** True when the object is one of those that the quota's scopes leave. Only pods have scopes: a quota with one counts nothing else. */
export function isInScope(
  { spec }: ResourceQuota,
  resource: Pick<Resource, "group" | "plural">,
  object: KubeObject,
): boolean {
  const selectors: { scopeName: string; operator: string; values?: readonly string[] }[] = [
    ...(spec.scopes ?? []).map((scopeName) => ({ scopeName, operator: "Exists" })),
    ...(spec.scopeSelector?.matchExpressions ?? []),
  ];
  if (selectors.length === 0) return true;
  if (resource.group !== "" || resource.plural !== "pods") return false;
  const pod = object as Pod;
  return selectors.every(({ scopeName, operator, values = [] }) => isPodInScope(pod, scopeName, operator, values));
}

function isPodInScope(pod: Pod, scope: string, operator: string, values: readonly string[]): boolean {
  const ends = (pod.spec?.activeDeadlineSeconds ?? -1) >= 0;
  switch (scope) {
    case "Terminating":
      return ends;
    case "NotTerminating":
      return !ends;
    case "BestEffort":
      return pod.spec !== undefined && qosClassOf(pod.spec) === "BestEffort";
    case "NotBestEffort":
      return pod.spec !== undefined && qosClassOf(pod.spec) !== "BestEffort";
    case "CrossNamespacePodAffinity":
      return looksElsewhere(pod);
    case "PriorityClass":
      return matches(pod.spec?.priorityClassName ?? "", operator, values);
    default:
      return false;
  }
}

function matches(value: string, operator: string, values: readonly string[]): boolean {
  switch (operator) {
    case "In":
      return value !== "" && values.includes(value);
    case "NotIn":
      return value === "" || !values.includes(value);
    case "Exists":
      return value !== "";
    case "DoesNotExist":
      return value === "";
    default:
      return false;
  }
}

function looksElsewhere({ spec }: Pod): boolean {
  const { podAffinity, podAntiAffinity } = spec?.affinity ?? {};
  const terms = [podAffinity, podAntiAffinity].flatMap((one) => [
    ...(one?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(one?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
  ]);
  return terms.some(
    ({ namespaces = [], namespaceSelector }) => namespaces.length > 0 || namespaceSelector !== undefined,
  );
}
