import {
  type Deployment,
  type DeploymentCondition,
  type DeploymentStatus,
  findCondition,
  formatTime,
  parseTime,
  type ReplicaSet,
} from "../../kube/index.ts";
import { maxUnavailableOf } from "./limits.ts";
import { availableOf, type Sets, sizeOf, sum } from "./sets.ts";

/** "No deadline" in the API: the largest 32 bit number. */
const noDeadline = 2147483647;

type Conditions = readonly DeploymentCondition[];

export const hasDeadline = ({ spec }: Deployment): boolean =>
  spec.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds !== noDeadline;

/** Conditions with one set. As in upstream's controller, the same status and reason keep the condition as it is. */
export function withCondition(
  conditions: Conditions | undefined,
  type: string,
  status: "True" | "False" | "Unknown",
  reason: string,
  message: string,
  now: number,
): Conditions {
  const old = findCondition(conditions, type);
  if (old?.status === status && old.reason === reason) return conditions ?? [];
  return [...without(conditions, type), conditionAfter(old, type, status, reason, message, now)];
}

function conditionAfter(
  old: DeploymentCondition | undefined,
  type: string,
  status: string,
  reason: string,
  message: string,
  now: number,
): DeploymentCondition {
  const time = formatTime(now);
  const lastTransitionTime = old?.status === status ? (old.lastTransitionTime ?? time) : time;
  return { type, status, reason, message, lastUpdateTime: time, lastTransitionTime };
}

export const without = (conditions: Conditions | undefined, type: string): Conditions =>
  (conditions ?? []).filter((condition) => condition.type !== type);

/** Counts and the Available condition, from the ReplicaSets. Counts of 0 are left out, as the API has them. */
export function countStatus(deployment: Deployment, { current, old }: Sets, now: number): DeploymentStatus {
  const all = current ? [...old, current] : [...old];
  const count = (field: "replicas" | "readyReplicas" | "terminatingReplicas", sets = all) =>
    sum(sets, (set) => set.status?.[field] ?? 0);
  const available = sum(all, availableOf);
  const enough = available >= (deployment.spec.replicas ?? 1) - maxUnavailableOf(deployment);
  const counts = {
    replicas: count("replicas"),
    updatedReplicas: current ? count("replicas", [current]) : 0,
    readyReplicas: count("readyReplicas"),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, sum(all, sizeOf) - available),
  };
  const { collisionCount, conditions } = deployment.status ?? {};
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    ...Object.fromEntries(Object.entries(counts).filter(([, value]) => value > 0)),
    terminatingReplicas: count("terminatingReplicas"),
    ...(collisionCount ? { collisionCount } : {}),
    conditions: [
      ...withCondition(
        conditions,
        "Available",
        enough ? "True" : "False",
        enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
        enough ? "Deployment has minimum availability." : "Deployment does not have minimum availability.",
        now,
      ),
    ],
  };
}

/** The status of a Deployment in a rollout: counts, progress and failures. */
export function rolloutStatus(deployment: Deployment, sets: Sets, now: number): DeploymentStatus {
  const status = countStatus(deployment, sets, now);
  const failure = failureOf(sets);
  const conditions = without(progress(deployment, status, sets.current, now), "ReplicaFailure");
  return { ...status, conditions: [...conditions, ...(failure ? [failure] : [])] };
}

function progress(
  deployment: Deployment,
  status: DeploymentStatus,
  current: ReplicaSet | undefined,
  now: number,
): Conditions {
  const { conditions } = status;
  if (!hasDeadline(deployment)) return without(conditions, "Progressing");
  const old = findCondition(deployment.status?.conditions, "Progressing");
  const settled = (status.replicas ?? 0) === (status.updatedReplicas ?? 0) && old?.reason === "NewReplicaSetAvailable";
  if (settled) return conditions ?? [];
  const subject = current ? `ReplicaSet "${current.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
  if (isComplete(deployment, status)) {
    const message = `${subject} has successfully progressed.`;
    return withCondition(conditions, "Progressing", "True", "NewReplicaSetAvailable", message, now);
  }
  if (hasProgressed(deployment.status, status)) {
    // Set anew even if equal: the deadline counts from its time.
    const condition = conditionAfter(
      old,
      "Progressing",
      "True",
      "ReplicaSetUpdated",
      `${subject} is progressing.`,
      now,
    );
    return [...without(conditions, "Progressing"), condition];
  }
  if (isLate(deployment, status, now)) {
    const message = `${subject} has timed out progressing.`;
    return withCondition(conditions, "Progressing", "False", "ProgressDeadlineExceeded", message, now);
  }
  return conditions ?? [];
}

/** True when all replicas are of the current template and available, and none of another is left. */
export function isComplete(deployment: Deployment, status: DeploymentStatus | undefined): boolean {
  const wanted = deployment.spec.replicas ?? 1;
  const { updatedReplicas = 0, replicas = 0, availableReplicas = 0, observedGeneration = 0 } = status ?? {};
  const seen = observedGeneration >= (deployment.metadata.generation ?? 0);
  return updatedReplicas === wanted && replicas === wanted && availableReplicas === wanted && seen;
}

function hasProgressed(before: DeploymentStatus | undefined, after: DeploymentStatus): boolean {
  const oldOnes = ({ replicas = 0, updatedReplicas = 0 }: DeploymentStatus) => replicas - updatedReplicas;
  return (
    (after.updatedReplicas ?? 0) > (before?.updatedReplicas ?? 0) ||
    oldOnes(after) < oldOnes(before ?? {}) ||
    (after.readyReplicas ?? 0) > (before?.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before?.availableReplicas ?? 0)
  );
}

function isLate(deployment: Deployment, status: DeploymentStatus, now: number): boolean {
  const condition = findCondition(status.conditions, "Progressing");
  if (!condition || condition.reason === "NewReplicaSetAvailable") return false;
  return condition.reason === "ProgressDeadlineExceeded" || deadlineOf(deployment, condition) < now;
}

const deadlineOf = (deployment: Deployment, { lastUpdateTime }: DeploymentCondition): number =>
  (parseTime(lastUpdateTime ?? "") ?? 0) + (deployment.spec.progressDeadlineSeconds ?? 0) * 1000;

/** Milliseconds until a rollout that does not move has to be looked at again; undefined when there is no need. */
export function lateIn(deployment: Deployment, status: DeploymentStatus, now: number): number | undefined {
  const condition = findCondition(status.conditions, "Progressing");
  if (!hasDeadline(deployment) || !condition || condition.reason === "ProgressDeadlineExceeded") return undefined;
  if (isComplete(deployment, status)) return undefined;
  return Math.max(1000, deadlineOf(deployment, condition) - now + 1000);
}

/** What keeps a ReplicaSet from making pods, that of the current one first. */
function failureOf({ current, old }: Sets): DeploymentCondition | undefined {
  for (const set of [...(current ? [current] : []), ...old]) {
    const found = findCondition(set.status?.conditions, "ReplicaFailure");
    if (found) return { ...found, ...(found.lastTransitionTime ? { lastUpdateTime: found.lastTransitionTime } : {}) };
  }
  return undefined;
}

/** Conditions of a Deployment that is paused or was just resumed: its deadline stands still meanwhile. */
export function pauseConditions(deployment: Deployment, now: number): Conditions | undefined {
  if (!hasDeadline(deployment)) return undefined;
  const { conditions } = deployment.status ?? {};
  const reason = findCondition(conditions, "Progressing")?.reason;
  if (reason === "ProgressDeadlineExceeded") return undefined;
  if (deployment.spec.paused && reason !== "DeploymentPaused") {
    return withCondition(conditions, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now);
  }
  if (!deployment.spec.paused && reason === "DeploymentPaused") {
    return withCondition(conditions, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now);
  }
  return undefined;
}
