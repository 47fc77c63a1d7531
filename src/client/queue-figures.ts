import type { Metrics } from "../system/index.ts";
import type { WorkQueue, WorkQueueTimes } from "./work-queue.ts";

/** Upper bounds in seconds, as client-go has them: powers of ten from 10 ns to 1,000 s. */
const buckets = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1000];

/** Counts how long the keys of a controller's queue take, under the names that Kubernetes' controllers have. */
export function queueTimes(metrics: Metrics, name: string): WorkQueueTimes {
  const waited = metrics.histogram(
    "workqueue_queue_duration_seconds",
    "Time that a key waited for a worker.",
    ["name"],
    buckets,
  )(name);
  const worked = metrics.histogram(
    "workqueue_work_duration_seconds",
    "Time that the work on a key took.",
    ["name"],
    buckets,
  )(name);
  return { waited: (seconds) => waited.observe(seconds), worked: (seconds) => worked.observe(seconds) };
}

/** Tells of a controller's queue, under the names that Kubernetes' controllers have. */
export function tellOfQueue(
  metrics: Metrics,
  name: string,
  { stats, unfinished }: Pick<WorkQueue, "stats" | "unfinished">,
): void {
  metrics
    .gauge("workqueue_depth", "Keys that wait for a worker.", ["name"])(name)
    .from(() => stats().depth);
  metrics
    .counter("workqueue_adds_total", "Keys that were asked to be worked on.", ["name"])(name)
    .from(() => stats().adds);
  metrics
    .counter("workqueue_retries_total", "Keys that are tried again after a failure.", ["name"])(name)
    .from(() => stats().retries);
  metrics
    .gauge("workqueue_unfinished_work_seconds", "Time of all work under way that is in no duration yet.", ["name"])(
      name,
    )
    .from(() => unfinished().all);
  metrics
    .gauge("workqueue_longest_running_processor_seconds", "Time of the work that has gone on the longest.", ["name"])(
      name,
    )
    .from(() => unfinished().longest);
}
