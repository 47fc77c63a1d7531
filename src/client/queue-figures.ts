import type { Metrics } from "../system/index.ts";
import type { WorkQueue } from "./work-queue.ts";

/** Tells of a controller's queue, under the names that Kubernetes' controllers have. */
export function tellOfQueue(metrics: Metrics, name: string, { stats }: Pick<WorkQueue, "stats">): void {
  metrics
    .gauge("workqueue_depth", "Keys that wait for a worker.", ["name"])(name)
    .from(() => stats().depth);
  metrics
    .counter("workqueue_adds_total", "Keys that were asked to be worked on.", ["name"])(name)
    .from(() => stats().adds);
  metrics
    .counter("workqueue_retries_total", "Keys that are tried again after a failure.", ["name"])(name)
    .from(() => stats().retries);
}
