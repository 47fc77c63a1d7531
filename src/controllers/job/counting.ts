import type { Job, JobStatus, Pod } from "../../kube/index.ts";
import { readIndexes, writeIndexes } from "./index-set.ts";
import type { Outcome } from "./outcome.ts";
import { judge } from "./policies.ts";
import { hasFailed, indexOf, isIndexed, isTracked } from "./pods.ts";

/** What a Job's status says of pods that have ended, and which of them need not be kept to know it. */
export interface Counting {
  /** With the uids of the pods in it that are counted when they have lost their finalizer. */
  readonly status: JobStatus;
  /** Pods whose finalizer goes. */
  readonly done: readonly Pod[];
}

/** Uids that a status holds at most: more are counted in the next round. */
const mostUncounted = 500;

/**
 * Takes pods that have ended into the status. Pods in `kept` stay for the one that follows them; with a failure as outcome every pod has
 * ended.
 */
export function countEnds(
  job: Job,
  status: JobStatus,
  pods: readonly Pod[],
  outcome: Outcome | undefined,
  kept: ReadonlySet<Pod>,
): Counting {
  const succeeded = [...(status.uncountedTerminatedPods?.succeeded ?? [])];
  const failed = [...(status.uncountedTerminatedPods?.failed ?? [])];
  const completions = job.spec.completions ?? 0;
  const indexes = isIndexed(job) ? readIndexes(status.completedIndexes, completions) : undefined;
  const done: Pod[] = [];
  for (const pod of pods) {
    if (!isTracked(pod) || kept.has(pod)) continue;
    const uid = pod.metadata.uid ?? "";
    const index = indexOf(pod);
    const inRange = index !== undefined && index < completions;
    if (pod.status?.phase === "Succeeded" && !failed.includes(uid)) {
      done.push(pod);
      if (!indexes) {
        if (!succeeded.includes(uid)) succeeded.push(uid);
      } else if (inRange) indexes.add(index);
    } else if (hasFailed(job, pod) || outcome?.type === "FailureTarget") {
      done.push(pod);
      if (!failed.includes(uid) && (!indexes || inRange) && judge(job, pod).counts) failed.push(uid);
    } else if (job.metadata.deletionTimestamp) done.push(pod);
    if (succeeded.length + failed.length >= mostUncounted) break;
  }
  return {
    done,
    status: {
      ...status,
      ...(indexes && indexes.size > 0 ? { completedIndexes: writeIndexes(indexes) } : {}),
      ...(indexes && indexes.size > 0 ? { succeeded: indexes.size } : {}),
      uncountedTerminatedPods: {
        ...(succeeded.length > 0 ? { succeeded } : {}),
        ...(failed.length > 0 ? { failed } : {}),
      },
    },
  };
}

/** The status with the uids in it counted whose pods have lost their finalizer, or are gone. */
export function settle(status: JobStatus, tracked: (uid: string) => boolean): JobStatus {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  const [moreSucceeded, moreFailed] = [succeeded, failed].map((uids) => uids.filter((uid) => !tracked(uid)).length);
  const left = { succeeded: succeeded.filter(tracked), failed: failed.filter(tracked) };
  const counts = {
    succeeded: (status.succeeded ?? 0) + (moreSucceeded ?? 0),
    failed: (status.failed ?? 0) + (moreFailed ?? 0),
  };
  return {
    ...status,
    ...(counts.succeeded > 0 ? { succeeded: counts.succeeded } : {}),
    ...(counts.failed > 0 ? { failed: counts.failed } : {}),
    uncountedTerminatedPods: {
      ...(left.succeeded.length > 0 ? { succeeded: left.succeeded } : {}),
      ...(left.failed.length > 0 ? { failed: left.failed } : {}),
    },
  };
}

/** Uids in a status that are still to be counted. */
export const uncountedOf = ({ uncountedTerminatedPods: pods }: JobStatus): ReadonlySet<string> =>
  new Set([...(pods?.succeeded ?? []), ...(pods?.failed ?? [])]);
