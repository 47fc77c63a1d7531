import { createEventRecorder, messageOf, startController, unless } from "../../client/index.ts";
import {
  formatTime,
  isJobFinished,
  isNamespaceTerminating,
  type Job,
  jobCondition,
  type JobStatus,
  keyOf,
  nameOfKey,
  type Pod,
  resources,
  semanticEqual,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import { batchPeriod } from "../batch-period.ts";
import type { ControllerContext } from "../context.ts";
import { carryOut, claimOf, controllerIndex, orphansIn, uidOf } from "../owners.ts";
import { rememberWrites } from "../own-writes.ts";
import { adoptersOf, followPods, ownerKeyOf } from "../pod-owners.ts";
import { isActive, isReady } from "../pods.ts";
import { createExpectations } from "../expectations.ts";
import { slowStart } from "../slow-start.ts";
import { type FailureRecord, pauseLeft, withEnds } from "./back-off.ts";
import { countEnds, settle, uncountedOf } from "./counting.ts";
import { readIndexes, writeIndexes } from "./index-set.ts";
import { deadlineIn, ended, type Outcome, outcomeOf, withCondition } from "./outcome.ts";
import { jobPod } from "./pod.ts";
import { failedIndexes, judge } from "./policies.ts";
import { finishTime, hasFailed, indexOf, isIndexed, isTerminating, isTracked, trackingFinalizer } from "./pods.ts";
import { scaleOf } from "./scale.ts";

/** Name of this controller in `spec.managedBy`. */
const ownName = "kubernetes.io/job-controller";
const noFailures: FailureRecord = { failures: 0, last: 0 };

/** Runs the pods of Jobs until they have done what the Job asks: upstream's job controller, with its policies, reasons and events. */
export function startJobController(context: ControllerContext): Component {
  const { clock, informers } = context;
  const writes = rememberWrites(context.client, [resources.Job], clock);
  const { client } = writes;
  const jobs = informers.of(resources.Job);
  const pods = informers.of(resources.Pod, controllerIndex);
  const expectations = createExpectations(clock);
  const events = createEventRecorder(client, { ...context, component: "job-controller" });
  const failures = new Map<string, FailureRecord>();
  /** Uids of pods whose finalizer was taken away, until the cache shows it. */
  const released = new Set<string>();
  const isHeld = (pod: Pod): boolean => isTracked(pod) && !released.has(uidOf(pod));

  const setFinalizers = async (pod: Pod, finalizers: readonly string[]): Promise<void> => {
    const { uid, resourceVersion } = pod.metadata;
    const body = { metadata: { uid, resourceVersion, finalizers } };
    await unless(client.patch(resources.Pod, nameOfKey(keyOf(pod)), { type: "merge", body }), "NotFound");
  };
  /** Lets the pods go. True for each that has lost its finalizer; the others are tried again. */
  const release = async (pod: Pod): Promise<boolean> => {
    if (!isHeld(pod)) return true;
    released.add(uidOf(pod));
    try {
      await setFinalizers(
        pod,
        (pod.metadata.finalizers ?? []).filter((name) => name !== trackingFinalizer),
      );
      return true;
    } catch {
      released.delete(uidOf(pod));
      return false;
    }
  };

  const create = async (job: Job, wanted: Parameters<typeof jobPod>[1][]): Promise<number> => {
    const key = keyOf(job);
    expectations.expectCreations(key, wanted.length);
    const { failed, skipped, error } = await slowStart(wanted.length, async (i) => {
      const pod = await client.create(resources.Pod, jobPod(job, wanted[i] ?? {}));
      events.event(job, "Normal", "SuccessfulCreate", `Created pod: ${pod.metadata.name}`);
    });
    for (let i = 0; i < failed + skipped; i++) expectations.created(key);
    if (error !== undefined && !isNamespaceTerminating(error)) {
      events.event(job, "Warning", "FailedCreate", `Error creating: ${messageOf(error)}`);
      controller.enqueueAfter(key, 1000);
    }
    return wanted.length - failed - skipped;
  };

  /** Deletes pods; those that are `uncounted` lose their finalizer first. Answers those that are on their way out then. */
  const remove = async (job: Job, victims: readonly Pod[], uncounted: boolean): Promise<Pod[]> => {
    const key = keyOf(job);
    expectations.expectDeletions(key, victims.map(uidOf));
    const done = await Promise.all(
      victims.map(async (pod) => {
        try {
          if (uncounted && !(await release(pod))) throw new Error("its finalizer could not be taken away");
          const preconditions = { uid: uidOf(pod) };
          await unless(client.delete(resources.Pod, nameOfKey(keyOf(pod)), { preconditions }), "NotFound");
          events.event(job, "Normal", "SuccessfulDelete", `Deleted pod: ${pod.metadata.name}`);
          return true;
        } catch (error) {
          expectations.deleted(key, uidOf(pod));
          events.event(job, "Warning", "FailedDelete", `Error deleting: ${messageOf(error)}`);
          return false;
        }
      }),
    );
    if (done.includes(false)) controller.enqueueAfter(key, 1000);
    return victims.filter((_, i) => done[i]);
  };

  const claimed = async (job: Job): Promise<Pod[]> => {
    const selector = job.spec.selector ?? {};
    const orphans = pods.by("controller", orphansIn(job.metadata.namespace));
    const claim = claimOf(job, selector, pods.by("controller", uidOf(job)), orphans);
    const all = await carryOut(client, resources.Pod, resources.Job, job, claim);
    const adopted = new Set(claim.adopt.map(uidOf));
    for (const pod of all) {
      if (adopted.has(uidOf(pod)) && !isTracked(pod))
        await setFinalizers(pod, [...(pod.metadata.finalizers ?? []), trackingFinalizer]);
    }
    return all;
  };

  const reconcile = async (key: string) => {
    const job = jobs.get(nameOfKey(key));
    if (!job) {
      expectations.forget(key);
      failures.delete(key);
      return undefined;
    }
    if ((job.spec.managedBy ?? ownName) !== ownName || isJobFinished(job.status) || writes.isBehind(job))
      return undefined;
    const now = clock.now();
    const current = expectations.satisfied(key);
    const all = await claimed(job);
    const before: JobStatus = job.status ?? {};
    const uncounted = uncountedOf(before);
    const isNew = (pod: Pod): boolean => isHeld(pod) && !uncounted.has(uidOf(pod));
    let active = all.filter(isActive);
    let terminating = all.filter(isTerminating).length;

    const fresh = all.filter(isNew);
    const failed = fresh.filter((pod) => hasFailed(job, pod));
    const succeeded = fresh.filter(({ status }) => status?.phase === "Succeeded");
    const completions = job.spec.completions ?? 0;
    const succeededIndexes = isIndexed(job) ? readIndexes(before.completedIndexes, completions) : undefined;
    for (const index of succeeded.map(indexOf))
      if (index !== undefined && index < completions) succeededIndexes?.add(index);
    const badIndexes = job.spec.backoffLimitPerIndex === undefined ? undefined : failedIndexes(job, all);
    const facts = {
      failed:
        (before.failed ?? 0) +
        (before.uncountedTerminatedPods?.failed?.length ?? 0) +
        failed.filter((pod) => judge(job, pod).counts).length,
      succeeded:
        succeededIndexes?.size ??
        (before.succeeded ?? 0) + (before.uncountedTerminatedPods?.succeeded?.length ?? 0) + succeeded.length,
      ...(succeededIndexes ? { succeededIndexes } : {}),
      ...(badIndexes ? { failedIndexes: badIndexes } : {}),
    };
    const lastFailed = badIndexes
      ? lastOfIndexes(failed, completions, active, [succeededIndexes, badIndexes], now)
      : new Map<number, Pod>();
    const started = { ...before };
    if (!started.startTime && !job.spec.suspend) started.startTime = formatTime(now);
    let outcome = outcomeOf({ ...job, status: started }, all, facts, now);
    // While not all is known of the pods nothing final is said.
    let mayEnd = current;
    let wait = deadlineIn({ ...job, status: started }, now);
    let status: JobStatus = started;
    const record = withEnds(failures.get(key) ?? noFailures, [
      ...failed.map((pod) => ({ at: finishTime(pod, now), failed: true })),
      ...succeeded.map((pod) => ({ at: finishTime(pod, now), failed: false })),
    ]);

    if (outcome) {
      const gone = await remove(job, active, false);
      mayEnd &&= gone.length === active.length;
      terminating += gone.length;
      active = active.filter((pod) => !gone.includes(pod));
    } else {
      let scaled = false;
      let running = active.length;
      if (current && !job.metadata.deletionTimestamp) {
        const pause = pauseLeft(record.failures, record.last, now);
        const scale = scaleOf(job, { ...facts, active, terminating, lastFailed, pause, now });
        const gone = await remove(job, scale.remove, true);
        active = active.filter((pod) => !gone.includes(pod));
        terminating += gone.length;
        running = active.length + (scale.create.length > 0 ? await create(job, [...scale.create]) : 0);
        if (scale.wait > 0) wait = Math.min(wait ?? Infinity, scale.wait);
        scaled = true;
      }
      const reached = job.spec.completions === undefined ? 1 : completions;
      if (facts.succeeded >= reached && running === 0) {
        const message = "Reached expected number of succeeded pods";
        outcome = { type: "SuccessCriteriaMet", reason: "CompletionsReached", message };
      } else if (scaled) status = suspension(job, status, now);
      status = { ...status, active: running };
    }
    if (outcome) status = { ...status, active: active.length };
    if (!status.active) delete status.active;
    status = { ...status, ready: active.filter(isReady).length, terminating };
    if (badIndexes) status.failedIndexes = writeIndexes(badIndexes);
    if (outcome && mayEnd) {
      const { type, reason, message } = outcome;
      status.conditions = withCondition(status.conditions, { type, status: "True", reason, message }, now);
    }

    const kept = new Set(outcome || job.metadata.deletionTimestamp ? [] : lastFailed.values());
    const held = all.filter(isHeld);
    const counting = countEnds(job, status, held, mayEnd ? outcome : undefined, kept);
    if (semanticEqual(counting.status, before) && counting.done.length === 0 && uncounted.size === 0) {
      return endOf(job, counting.status, outcome && mayEnd ? outcome : undefined, wait);
    }
    const written = await save(job, counting.status);
    if (!written) return undefined;
    failures.set(key, record);
    const kepts = new Set<string>();
    for (const pod of counting.done) if (!(await release(pod))) kepts.add(uidOf(pod));
    if (kepts.size > 0) controller.enqueueAfter(key, 1000);
    const settled = settle(counting.status, (uid) => kepts.has(uid));
    return endOf(written, settled, outcome && mayEnd && kepts.size === 0 ? outcome : undefined, wait);
  };

  const save = (job: Job, status: JobStatus): Promise<Job | undefined> =>
    semanticEqual(status, job.status)
      ? Promise.resolve(job)
      : unless(client.updateStatus(resources.Job, { ...job, status }), "NotFound");

  /** Writes the status, with the last condition when there is an outcome and none of the pods runs any more. */
  const endOf = async (job: Job, status: JobStatus, outcome: Outcome | undefined, wait: number | undefined) => {
    const over = outcome && !status.terminating && !status.active && uncountedOf(status).size === 0;
    if (!over) {
      await save(job, status);
      return wait === undefined || wait === 0 ? undefined : { again: wait };
    }
    const last = ended(status, outcome, clock.now());
    if (!(await save(job, last))) return undefined;
    failures.delete(keyOf(job));
    expectations.forget(keyOf(job));
    if (outcome.type === "FailureTarget") events.event(job, "Warning", outcome.reason, outcome.message);
    else events.event(job, "Normal", "Completed", "Job completed");
    return undefined;
  };

  const suspension = (job: Job, status: JobStatus, now: number): JobStatus => {
    const was = jobCondition(status, "Suspended");
    if (was === (job.spec.suspend ?? false)) return status;
    const [reason, message, state] = was
      ? (["JobResumed", "Job resumed", "False"] as const)
      : (["JobSuspended", "Job suspended", "True"] as const);
    events.event(job, "Normal", was ? "Resumed" : "Suspended", message);
    const conditions = withCondition(status.conditions, { type: "Suspended", status: state, reason, message }, now);
    return { ...status, conditions, ...(was ? { startTime: formatTime(now) } : {}) };
  };

  const controller = startController({
    ...context,
    name: "job",
    reconcile,
    concurrency: 5,
    after: [jobs.synced, pods.synced],
  });

  /** Pods that no Job counts any more lose their finalizer. */
  const orphans = startController({
    ...context,
    name: "job-orphans",
    async reconcile(key) {
      const pod = pods.get(nameOfKey(key));
      if (pod && isTracked(pod) && isForsaken(pod) && !(await release(pod)))
        throw new Error("its finalizer could not be taken away");
    },
    concurrency: 5,
    after: [jobs.synced, pods.synced],
  });
  const isForsaken = (pod: Pod): boolean => {
    const key = ownerKeyOf(jobs, pod);
    const job = key === undefined ? undefined : jobs.get(nameOfKey(key));
    return job ? (job.spec.managedBy ?? ownName) === ownName && isJobFinished(job.status) : true;
  };

  jobs.onChange(({ before, after }) => {
    const job = after ?? before;
    if (!job) return;
    const key = keyOf(job);
    if (!after) {
      expectations.forget(key);
      failures.delete(key);
      writes.forget(job);
    }
    if (!after || isJobFinished(after.status)) {
      for (const pod of pods.by("controller", uidOf(job))) if (isHeld(pod)) orphans.enqueue(keyOf(pod));
    }
    if (!after || !isJobFinished(after.status)) controller.enqueue(key);
  });
  followPods(jobs, pods, expectations, (key) =>
    controller.enqueueAfter(key, batchPeriod(jobs.get(nameOfKey(key))?.spec.parallelism ?? 0)),
  );
  pods.onChange(({ before, after }) => {
    if (before && (!after || !isTracked(after))) released.delete(uidOf(before));
    if (!after) return;
    if (isTracked(after) && isForsaken(after)) orphans.enqueue(keyOf(after));
    if (!isTracked(after) && isActive(after)) for (const key of adoptersOf(jobs, after)) controller.enqueue(key);
  });
  return {
    name: controller.name,
    ready: controller.ready,
    stopped: Promise.all([controller.stopped, orphans.stopped]).then(() => {}),
  };
}

/** The pod that failed last of each index that is to be tried again: the next one learns from it how often the index has failed. */
function lastOfIndexes(
  failed: readonly Pod[],
  completions: number,
  active: readonly Pod[],
  over: readonly (ReadonlySet<number> | undefined)[],
  now: number,
): Map<number, Pod> {
  const running = new Set(active.map(indexOf));
  const last = new Map<number, Pod>();
  for (const pod of failed) {
    const index = indexOf(pod);
    if (index === undefined || index >= completions || running.has(index)) continue;
    if (over.some((indexes) => indexes?.has(index))) continue;
    const known = last.get(index);
    if (!known || finishTime(known, now) <= finishTime(pod, now)) last.set(index, pod);
  }
  return last;
}
