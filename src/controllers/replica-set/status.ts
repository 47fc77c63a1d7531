import {
  findCondition,
  formatTime,
  matchesLabels,
  type Pod,
  type ReplicaSet,
  type ReplicaSetCondition,
  type ReplicaSetStatus,
} from "../../kube/index.ts";
import { availableIn, isActive, isReady, isTerminal } from "../pods.ts";

/** Why the last attempt to reach the wanted number failed. */
export interface Failure {
  readonly reason: "FailedCreate" | "FailedDelete";
  readonly message: string;
}

/** The status that the pods of a ReplicaSet make. Fields that are 0 are left out, as the API has them. */
export function statusOf(
  set: ReplicaSet,
  pods: readonly Pod[],
  failure: Failure | undefined,
  now: number,
): ReplicaSetStatus {
  const active = pods.filter(isActive);
  const ready = active.filter(isReady);
  const available = ready.filter((pod) => availableIn(pod, set.spec.minReadySeconds ?? 0, now) === 0);
  const template = set.spec.template?.metadata?.labels ?? {};
  const labelled = active.filter((pod) => matchesLabels({ matchLabels: template }, pod.metadata.labels));
  const terminating = pods.filter((pod) => pod.metadata.deletionTimestamp !== undefined && !isTerminal(pod));
  const conditions = conditionsOf(set, failure, now);
  return {
    replicas: active.length,
    ...(labelled.length > 0 ? { fullyLabeledReplicas: labelled.length } : {}),
    ...(ready.length > 0 ? { readyReplicas: ready.length } : {}),
    ...(available.length > 0 ? { availableReplicas: available.length } : {}),
    terminatingReplicas: terminating.length,
    observedGeneration: set.metadata.generation ?? 0,
    ...(conditions.length > 0 ? { conditions } : {}),
  };
}

/** Milliseconds until the next pod that is ready becomes available; undefined when there is none to wait for. */
export function nextAvailable(set: ReplicaSet, pods: readonly Pod[], now: number): number | undefined {
  const waits = pods
    .filter(isActive)
    .map((pod) => availableIn(pod, set.spec.minReadySeconds ?? 0, now))
    .filter((wait) => wait !== undefined && wait > 0);
  return waits.length > 0 ? Math.min(...(waits as number[])) : undefined;
}

function conditionsOf(set: ReplicaSet, failure: Failure | undefined, now: number): ReplicaSetCondition[] {
  const old = set.status?.conditions ?? [];
  const rest = old.filter(({ type }) => type !== "ReplicaFailure");
  if (!failure) return rest;
  const known = findCondition(old, "ReplicaFailure");
  if (known) return [...old];
  return [...rest, { type: "ReplicaFailure", status: "True", lastTransitionTime: formatTime(now), ...failure }];
}
