import type { Job, JobStatus } from "../generated/types.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { parseIndexes } from "./indexes.ts";

/** True when a condition of a Job is `True`: `Complete`, `Failed`, `FailureTarget`, `SuccessCriteriaMet`, `Suspended`. */
export const jobCondition = (status: JobStatus | undefined, type: string): boolean =>
  (status?.conditions ?? []).some((one) => one.type === type && one.status === "True");

/** A Job that is complete or has failed: nothing is done for it any more. */
export const isJobFinished = (status: JobStatus | undefined): boolean =>
  jobCondition(status, "Complete") || jobCondition(status, "Failed");

/**
 * Faults of a write to a Job's status. Most rules hold only for what the write changes: so what was wrong before does not keep others
 * from writing.
 */
export function* validateJobStatus({ spec, status = {} }: Job, { status: old = {} }: Job): Faults {
  const counts = ["active", "succeeded", "failed", "ready", "terminating"] as const;
  for (const field of counts) yield* validateNonNegative(status[field], `status.${field}`);
  yield* validateUncounted(status);
  yield* validateConditions({ spec, status }, old);
  yield* validateTimes({ spec, status }, old);
  yield* validateCounts(status, old);
  yield* validateIndexes({ spec, status }, old);
  for (const type of ["Failed", "Complete", "FailureTarget"]) {
    if (jobCondition(old, type) && !jobCondition(status, type))
      yield fault.without("status.conditions", `cannot disable the terminal ${type}=True condition`);
  }
  if (jobCondition(old, "SuccessCriteriaMet") && !jobCondition(status, "SuccessCriteriaMet"))
    yield fault.without("status.conditions", "cannot disable the SuccessCriteriaMet=True condition");
  if (
    jobCondition(old, "Complete") &&
    !jobCondition(old, "SuccessCriteriaMet") &&
    jobCondition(status, "SuccessCriteriaMet")
  ) {
    const text = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
    yield fault.without("status.conditions", text);
  }
}

type Written = Pick<Job, "spec"> & { readonly status: JobStatus };

function* validateUncounted({ uncountedTerminatedPods: pods }: JobStatus): Faults {
  const seen = new Set<string>();
  for (const field of ["succeeded", "failed"] as const) {
    for (const [i, uid] of (pods?.[field] ?? []).entries()) {
      const path = `status.uncountedTerminatedPods.${field}[${i}]`;
      if (uid === "") yield fault.invalid(path, uid, "must not be empty");
      else if (seen.has(uid)) yield fault.duplicate(path, uid);
      seen.add(uid);
    }
  }
}

function* validateConditions({ spec, status }: Written, old: JobStatus): Faults {
  const path = "status.conditions";
  const is = (type: string): boolean => jobCondition(status, type);
  const changed = (...types: string[]): boolean => types.some((type) => is(type) !== jobCondition(old, type));
  if (changed("Complete", "Failed") && is("Complete") && is("Failed"))
    yield fault.without(path, "cannot set Complete=True and Failed=true conditions");
  if (changed("Complete", "FailureTarget") && is("Complete") && is("FailureTarget"))
    yield fault.without(path, "cannot set Complete=True and FailureTarget=true conditions");
  if (changed("Failed", "FailureTarget") && is("Failed") && !is("FailureTarget"))
    yield fault.without(path, "cannot set Failed=True condition without the FailureTarget=true condition");
  if (changed("Complete", "SuccessCriteriaMet") && is("Complete") && !is("SuccessCriteriaMet"))
    yield fault.without(path, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
  if (is("SuccessCriteriaMet") && is("Failed"))
    yield fault.without(path, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
  if (is("SuccessCriteriaMet") && is("FailureTarget"))
    yield fault.without(path, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
  if (spec.successPolicy && !is("SuccessCriteriaMet") && is("Complete"))
    yield fault.without(path, "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
}

function* validateTimes({ spec, status }: Written, old: JobStatus): Faults {
  const { completionTime, startTime } = status;
  const complete = jobCondition(status, "Complete");
  const completeChanged = complete !== jobCondition(old, "Complete");
  const timeChanged = completionTime !== old.completionTime;
  const finishedChanged = isJobFinished(status) !== isJobFinished(old);
  const path = "status.completionTime";
  if ((completeChanged || timeChanged) && completionTime && !complete) {
    const text = "cannot set completionTime when there is no Complete=True condition";
    yield fault.invalid(path, completionTime, text);
  }
  if ((completeChanged || timeChanged) && !completionTime && complete)
    yield fault.required(path, "completionTime is required for Complete jobs");
  if ((timeChanged || startTime !== old.startTime) && startTime && completionTime && completionTime < startTime)
    yield fault.invalid(path, completionTime, "must be equal to or after `startTime`");
  if ((finishedChanged || startTime !== old.startTime) && !startTime && isJobFinished(status))
    yield fault.required("status.startTime", "startTime is required for finished job");
  if (completionTime && old.completionTime && timeChanged)
    yield fault.invalid(path, completionTime, "field is immutable");
  if (old.startTime && old.startTime !== startTime && !spec.suspend)
    yield fault.required("status.startTime", "startTime cannot be removed for unsuspended job");
}

function* validateCounts(status: JobStatus, old: JobStatus): Faults {
  const { active = 0, ready, terminating, failed = 0, succeeded = 0, uncountedTerminatedPods: pods } = status;
  const finished = isJobFinished(status);
  const changed = finished !== isJobFinished(old);
  if ((changed || active !== (old.active ?? 0)) && active > 0 && finished)
    yield fault.invalid("status.active", active, "active>0 is invalid for finished job");
  const uncounted = (pods?.succeeded?.length ?? 0) + (pods?.failed?.length ?? 0);
  if (changed && finished && uncounted > 0)
    yield fault.invalid("status.uncountedTerminatedPods", pods, "must be empty for finished job");
  if ((changed || terminating !== old.terminating) && (terminating ?? 0) > 0 && finished)
    yield fault.invalid("status.terminating", terminating, "terminating>0 is invalid for finished job");
  if ((ready !== old.ready || active !== (old.active ?? 0)) && ready !== undefined && ready > active)
    yield fault.invalid("status.ready", ready, "cannot set more ready pods than active");
  if (failed < (old.failed ?? 0)) yield fault.invalid("status.failed", failed, "cannot decrease the failed counter");
  if (succeeded < (old.succeeded ?? 0))
    yield fault.invalid("status.succeeded", succeeded, "cannot decrease the succeeded counter");
}

function* validateIndexes({ spec, status }: Written, old: JobStatus): Faults {
  const { completedIndexes = "", failedIndexes } = status;
  const { completions } = spec;
  const completedChanged = completedIndexes !== (old.completedIndexes ?? "");
  const failedChanged = failedIndexes !== old.failedIndexes;
  if (completedChanged && spec.completionMode !== "Indexed" && completedIndexes !== "") {
    const text = "cannot set non-empty completedIndexes when non-indexed completion mode";
    yield fault.invalid("status.completedIndexes", completedIndexes, text);
  }
  if (failedChanged && spec.backoffLimitPerIndex === undefined && failedIndexes !== undefined) {
    const text = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
    yield fault.invalid("status.failedIndexes", failedIndexes, text);
  }
  if (completions === undefined) return;
  const completed = parseIndexes(completedIndexes, completions);
  const failed = parseIndexes(failedIndexes ?? "", completions);
  if (completedChanged && "error" in completed)
    yield fault.invalid(
      "status.completedIndexes",
      completedIndexes,
      `error parsing completedIndexes: ${completed.error}`,
    );
  if (failedChanged && spec.backoffLimitPerIndex !== undefined && "error" in failed)
    yield fault.invalid("status.failedIndexes", failedIndexes, `error parsing failedIndexes: ${failed.error}`);
  if ((!completedChanged && !failedChanged) || "error" in completed || "error" in failed) return;
  for (const [first, last] of failed) {
    const overlap = completed.find(([from, to]) => from <= last && first <= to);
    if (!overlap) continue;
    const shared = Math.max(first, overlap[0]);
    yield fault.invalid(
      "status.failedIndexes",
      failedIndexes,
      `failedIndexes and completedIndexes overlap at index: ${shared}`,
    );
    return;
  }
}
