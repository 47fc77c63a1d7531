import {
  findCondition,
  formatTime,
  type Job,
  type JobCondition,
  type JobStatus,
  parseTime,
  type Pod,
} from "../../kube/index.ts";
import { earlySuccess, judge } from "./policies.ts";
import { hasFailed } from "./pods.ts";

/** How a Job ends: first the condition that says so, and the last one when none of its pods runs any more (KEP-3939). */
export interface Outcome {
  readonly type: "FailureTarget" | "SuccessCriteriaMet";
  readonly reason: string;
  readonly message: string;
}

/** What is counted of a Job's pods. */
export interface Counts {
  readonly failed: number;
  /** Of an indexed Job. */
  readonly succeededIndexes?: ReadonlySet<number>;
  /** Of an indexed Job with a limit for each index. */
  readonly failedIndexes?: ReadonlySet<number>;
}

const failure = (reason: string, message: string): Outcome => ({ type: "FailureTarget", reason, message });

/** Decides whether a Job ends before its pods have done what it asks; undefined when it goes on. `now` in milliseconds. */
export function outcomeOf(job: Job, pods: readonly Pod[], counts: Counts, now: number): Outcome | undefined {
  const { spec, status } = job;
  for (const type of ["SuccessCriteriaMet", "FailureTarget"] as const) {
    const decided = findCondition(status?.conditions, type);
    if (decided?.status === "True") return { type, reason: decided.reason ?? "", message: decided.message ?? "" };
  }
  for (const pod of spec.podFailurePolicy ? pods : []) {
    const { action, message } = hasFailed(job, pod) ? judge(job, pod) : {};
    if (action === "FailJob" && message !== undefined) return failure("PodFailurePolicy", message);
  }
  if (counts.failed > (spec.backoffLimit ?? 6) || restartsExceeded(job, pods))
    return failure("BackoffLimitExceeded", "Job has reached the specified backoff limit");
  if (deadlineIn(job, now) === 0) return failure("DeadlineExceeded", "Job was active longer than specified deadline");
  const { succeededIndexes, failedIndexes } = counts;
  if (failedIndexes && failedIndexes.size > 0) {
    if (spec.maxFailedIndexes !== undefined && failedIndexes.size > spec.maxFailedIndexes)
      return failure("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
    if (failedIndexes.size + (succeededIndexes?.size ?? 0) >= (spec.completions ?? 0))
      return failure("FailedIndexes", "Job has failed indexes");
  }
  const met = succeededIndexes && earlySuccess(job, succeededIndexes);
  return met === undefined ? undefined : { type: "SuccessCriteriaMet", reason: "SuccessPolicy", message: met };
}

/** Containers that are restarted in their pods count too. */
function restartsExceeded({ spec }: Job, pods: readonly Pod[]): boolean {
  if (spec.template.spec?.restartPolicy !== "OnFailure") return false;
  let restarts = 0;
  for (const { status } of pods) {
    if (status?.phase !== "Running" && status?.phase !== "Pending") continue;
    for (const { restartCount } of [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])])
      restarts += restartCount;
  }
  const limit = spec.backoffLimit ?? 6;
  return limit === 0 ? restarts > 0 : restarts >= limit;
}

/** Milliseconds until a Job's deadline; 0 when it has passed, undefined when it has none or does not run. */
export function deadlineIn({ spec, status }: Job, now: number): number | undefined {
  const start = parseTime(status?.startTime ?? "");
  if (spec.activeDeadlineSeconds === undefined || spec.suspend || start === undefined) return undefined;
  return Math.max(0, start + spec.activeDeadlineSeconds * 1000 - now);
}

/** The conditions with another, or with another status of one that is there. */
export function withCondition(
  conditions: readonly JobCondition[] | undefined,
  condition: Omit<JobCondition, "lastProbeTime" | "lastTransitionTime">,
  now: number,
): JobCondition[] {
  const time = formatTime(now);
  const added = { ...condition, lastProbeTime: time, lastTransitionTime: time };
  const known = findCondition(conditions, condition.type);
  if (known?.status === condition.status) return [...(conditions ?? [])];
  return known ? (conditions ?? []).map((one) => (one === known ? added : one)) : [...(conditions ?? []), added];
}

/** The status of a Job with the condition that ends it. */
export function ended(status: JobStatus, { type, reason, message }: Outcome, now: number): JobStatus {
  const last = type === "FailureTarget" ? "Failed" : "Complete";
  const conditions = withCondition(status.conditions, { type: last, status: "True", reason, message }, now);
  return { ...status, conditions, ...(last === "Complete" ? { completionTime: formatTime(now) } : {}) };
}
