import { type Job, parseTime, type Pod } from "../../kube/index.ts";
import { isTerminal } from "../pods.ts";

/** Finalizer of the pods of a Job, until they are counted in its status (KEP-2307). */
export const trackingFinalizer = "batch.kubernetes.io/job-tracking";

export const indexAnnotation = "batch.kubernetes.io/job-completion-index";
export const failureCountAnnotation = "batch.kubernetes.io/job-index-failure-count";
export const ignoredFailureCountAnnotation = "batch.kubernetes.io/job-index-ignored-failure-count";

export const isTracked = ({ metadata }: Pod): boolean => metadata.finalizers?.includes(trackingFinalizer) ?? false;

export const isIndexed = ({ spec }: Job): boolean => spec.completionMode === "Indexed";

/** The index that a pod works on; undefined when it says none. */
export function indexOf({ metadata }: Pod): number | undefined {
  const text = metadata.annotations?.[indexAnnotation];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** True when another pod takes the place of a failed one only, not of one that is on its way out (KEP-3939). */
export const replacesFailedOnly = ({ spec }: Job): boolean =>
  spec.podReplacementPolicy === "Failed" || spec.podFailurePolicy !== undefined;

/** True when a pod has failed, as its Job counts. */
export function hasFailed(job: Job, { metadata, status }: Pod): boolean {
  if (status?.phase === "Failed") return true;
  if (replacesFailedOnly(job)) return false;
  return metadata.deletionTimestamp !== undefined && status?.phase !== "Succeeded";
}

export const isTerminating = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined && !isTerminal(pod);

/** When the last container of a pod ended, or else the pod was to go, in milliseconds. */
export function finishTime({ metadata, status }: Pod, now: number): number {
  const ends = (status?.containerStatuses ?? []).map(({ state }) => parseTime(state?.terminated?.finishedAt ?? ""));
  const known = ends.filter((end) => end !== undefined);
  if (known.length > 0 && known.length === ends.length) return Math.max(...known);
  return parseTime(metadata.deletionTimestamp ?? "") ?? now;
}

/** How often an index failed before this pod, and how often that was not to count. */
export const failuresBefore = ({ metadata }: Pod): { readonly counted: number; readonly ignored: number } => ({
  counted: Number(metadata.annotations?.[failureCountAnnotation] ?? 0) || 0,
  ignored: Number(metadata.annotations?.[ignoredFailureCountAnnotation] ?? 0) || 0,
});
