import { createEventRecorder, messageOf, startController, unless } from "../../client/index.ts";
import {
  apiVersionOf,
  type CronJob,
  type CronJobStatus,
  formatTime,
  isJobFinished,
  type Job,
  jobCondition,
  isNamespaceTerminating,
  isStatus,
  keyOf,
  nameOfKey,
  type ObjectReference,
  parseSchedule,
  parseTime,
  resources,
  type Schedule,
  semanticEqual,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { controllerIndex, controllerOf } from "../owners.ts";
import { rememberWrites } from "../own-writes.ts";
import { referenceTo } from "../pod-draft.ts";
import { ownerKeyOf } from "../pod-owners.ts";
import { surplusOf } from "./history.ts";
import { lastTime, nextTime, wallClock, type WallClock } from "./next-time.ts";

/** Milliseconds that a run begins after its time, so that a clock that is a little slow does not wake it too early. */
const delta = 100;
/** A timer runs for so many milliseconds at most. */
const longest = 3_600_000;

const timestampAnnotation = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/** Makes a Job at each time of a CronJob's schedule: upstream's cronjob controller, with its policies, reasons and events. */
export function startCronJobController(context: ControllerContext): Component {
  const { clock, informers } = context;
  const writes = rememberWrites(context.client, [resources.CronJob], clock);
  const { client } = writes;
  const cronJobs = informers.of(resources.CronJob);
  const jobs = informers.of(resources.Job, controllerIndex);
  const events = createEventRecorder(client, { ...context, component: "cronjob-controller" });

  const remove = async (cron: CronJob, job: Job): Promise<void> => {
    try {
      const preconditions = { uid: job.metadata.uid ?? "" };
      const options = { propagationPolicy: "Background", preconditions } as const;
      await unless(client.delete(resources.Job, nameOfKey(keyOf(job)), options), "NotFound");
      events.event(cron, "Normal", "SuccessfulDelete", `Deleted job ${job.metadata.name}`);
    } catch (error) {
      events.event(cron, "Warning", "FailedDelete", `Deleted job: ${messageOf(error)}`);
      throw error;
    }
  };

  /** The status as the Jobs that are there make it. */
  const observed = async (cron: CronJob, owned: readonly Job[]): Promise<CronJobStatus> => {
    const status: CronJobStatus = { ...cron.status };
    let active = [...(cron.status?.active ?? [])];
    for (const job of owned) {
      const known = active.some(({ uid }) => uid === job.metadata.uid);
      const finished = isJobFinished(job.status);
      if (known && finished) {
        active = active.filter(({ uid }) => uid !== job.metadata.uid);
        const condition = jobCondition(job.status, "Complete") ? "Complete" : "Failed";
        const text = `Saw completed job: ${job.metadata.name}, condition: ${condition}`;
        events.event(cron, "Normal", "SawCompletedJob", text);
      } else if (!known && !finished) {
        const text = `Saw a job that the controller did not create or forgot: ${job.metadata.name}`;
        events.event(cron, "Warning", "UnexpectedJob", text);
      }
      const { completionTime } = job.status ?? {};
      if (finished && jobCondition(job.status, "Complete") && completionTime) {
        if ((status.lastSuccessfulTime ?? "") < completionTime) status.lastSuccessfulTime = completionTime;
      }
    }
    for (const reference of active) {
      if (owned.some(({ metadata }) => metadata.uid === reference.uid)) continue;
      const name = { namespace: cron.metadata.namespace ?? "", name: reference.name ?? "" };
      const job = await unless(client.get(resources.Job, name), "NotFound");
      if (job?.metadata.uid === reference.uid) continue;
      events.event(cron, "Normal", "MissingJob", `Active job went missing: ${reference.name}`);
      active = active.filter(({ uid }) => uid !== reference.uid);
    }
    if (active.length > 0) status.active = active;
    else delete status.active;
    return status;
  };

  /** Makes the Job of a time; undefined when it was there already. */
  const start = async (cron: CronJob, at: number): Promise<ObjectReference | undefined> => {
    const { metadata: template, spec } = cron.spec.jobTemplate;
    const { namespace = "" } = cron.metadata;
    const name = jobName(cron, at);
    try {
      const job = await client.create(resources.Job, {
        metadata: {
          name,
          namespace,
          ...(template?.labels ? { labels: template.labels } : {}),
          annotations: { ...template?.annotations, [timestampAnnotation]: formatTime(at) },
          ownerReferences: [referenceTo(cron, resources.CronJob)],
        },
        spec: structuredClone(spec ?? { template: {} }),
      });
      events.event(cron, "Normal", "SuccessfulCreate", `Created job ${name}`);
      return referenceOf(job);
    } catch (error) {
      if (isNamespaceTerminating(error)) return undefined;
      if (!isStatus(error, "AlreadyExists")) {
        events.event(cron, "Warning", "FailedCreate", `Error creating job: ${messageOf(error)}`);
        throw error;
      }
      const there = await client.get(resources.Job, { namespace, name });
      return controllerOf(there)?.uid === cron.metadata.uid && !isJobFinished(there.status)
        ? referenceOf(there)
        : undefined;
    }
  };

  const reconcile = async (key: string) => {
    const cron = cronJobs.get(nameOfKey(key));
    if (!cron || writes.isBehind(cron)) return undefined;
    const now = clock.now();
    const owned = jobs.by("controller", cron.metadata.uid ?? "");
    const status = await observed(cron, owned);
    const save = async (): Promise<void> => {
      if (!semanticEqual(status, cron.status ?? {}))
        await unless(client.updateStatus(resources.CronJob, { ...cron, status }), "NotFound");
    };
    for (const job of surplusOf(cron, owned)) await remove(cron, job);
    const timing = cron.metadata.deletionTimestamp || cron.spec.suspend ? undefined : timingOf(cron);
    if (!timing) {
      await save();
      return undefined;
    }
    const { schedule, wall } = timing;
    const next = (from: number) => {
      const at = nextTime(schedule, wall, from);
      return at === undefined ? undefined : { again: Math.min(at - now + delta, longest) };
    };
    const due = lastTime(schedule, wall, earliestOf(cron, now), now);
    if (!due) {
      await save();
      return next(now);
    }
    if (due.tooMany) {
      const text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
      events.event(cron, "Warning", "TooManyMissedTimes", text);
    }
    const { startingDeadlineSeconds: deadline, concurrencyPolicy } = cron.spec;
    const done = async () => {
      await save();
      return next(now);
    };
    if (deadline !== undefined && due.at + deadline * 1000 < now) {
      const text = `Missed scheduled time to start a job: ${new Date(due.at).toUTCString()}`;
      events.event(cron, "Warning", "MissSchedule", text);
      return done();
    }
    if (cron.status?.lastScheduleTime === formatTime(due.at)) return done();
    if (concurrencyPolicy === "Forbid" && (status.active ?? []).length > 0) {
      const text = "Not starting job because prior execution is running and concurrency policy is Forbid";
      events.event(cron, "Normal", "JobAlreadyActive", text);
      return done();
    }
    if (concurrencyPolicy === "Replace") {
      for (const job of owned.filter(({ metadata }) => status.active?.some(({ uid }) => uid === metadata.uid)))
        await remove(cron, job);
      delete status.active;
    }
    const reference = await start(cron, due.at);
    status.lastScheduleTime = formatTime(due.at);
    if (reference && !status.active?.some(({ uid }) => uid === reference.uid))
      status.active = [...(status.active ?? []), reference];
    return done();
  };

  /** When a CronJob runs; undefined when that can't be understood. */
  const timingOf = (cron: CronJob): { readonly schedule: Schedule; readonly wall: WallClock } | undefined => {
    const { schedule: text, timeZone } = cron.spec;
    const schedule = parseSchedule(text);
    if ("error" in schedule) {
      events.event(cron, "Warning", "UnparseableSchedule", `unparseable schedule: ${text} : ${schedule.error}`);
      return undefined;
    }
    try {
      return { schedule, wall: wallClock(timeZone ?? /^(?:CRON_)?TZ=(\S+)/.exec(text)?.[1]) };
    } catch {
      events.event(cron, "Warning", "UnknownTimeZone", `invalid timeZone: ${JSON.stringify(timeZone)}`);
      return undefined;
    }
  };

  const controller = startController({
    ...context,
    name: "cronjob",
    reconcile,
    concurrency: 5,
    after: [cronJobs.synced, jobs.synced],
  });
  cronJobs.onChange(({ before, after }) => {
    if (before && !after) writes.forget(before);
    if (after) controller.enqueue(keyOf(after));
  });
  jobs.onChange(({ before, after }) => {
    for (const job of [before, after]) {
      const key = job && ownerKeyOf(cronJobs, job);
      if (key) controller.enqueue(key);
    }
  });
  return controller;
}

/** From when on times count that nothing was started at. */
function earliestOf({ metadata, spec, status }: CronJob, now: number): number {
  const since = parseTime(status?.lastScheduleTime ?? "") ?? parseTime(metadata.creationTimestamp ?? "") ?? now;
  if (spec.startingDeadlineSeconds === undefined) return since;
  return Math.max(since, now - spec.startingDeadlineSeconds * 1000);
}

/** The name of the Job of one time: so that it is never made twice. */
const jobName = ({ metadata }: CronJob, at: number): string => `${metadata.name}-${Math.floor(at / 60_000)}`;

function referenceOf({ metadata }: Job): ObjectReference {
  const { name, namespace = "", uid = "", resourceVersion = "" } = metadata;
  return { apiVersion: apiVersionOf(resources.Job), kind: "Job", name, namespace, uid, resourceVersion };
}
