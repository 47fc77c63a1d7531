import { type CronJob, isJobFinished, type Job, jobCondition, parseTime } from "../../kube/index.ts";

/** The finished Jobs that a CronJob keeps no longer: the oldest above each limit. */
export function surplusOf({ spec }: CronJob, jobs: readonly Job[]): Job[] {
  const finished = jobs.filter(({ metadata, status }) => isJobFinished(status) && !metadata.deletionTimestamp);
  const complete = finished.filter(({ status }) => jobCondition(status, "Complete"));
  const failed = finished.filter(({ status }) => !jobCondition(status, "Complete"));
  return [...oldest(complete, spec.successfulJobsHistoryLimit), ...oldest(failed, spec.failedJobsHistoryLimit)];
}

function oldest(jobs: readonly Job[], keep: number | undefined): Job[] {
  if (keep === undefined || jobs.length <= keep) return [];
  const started = ({ status, metadata }: Job): number =>
    parseTime(status?.startTime ?? "") ?? parseTime(metadata.creationTimestamp ?? "") ?? 0;
  return [...jobs]
    .sort((a, b) => started(a) - started(b) || (a.metadata.name < b.metadata.name ? -1 : 1))
    .slice(0, jobs.length - keep);
}
