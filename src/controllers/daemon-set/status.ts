import type { DaemonSet, DaemonSetStatus } from "../../kube/index.ts";
import { availableIn, isReady } from "../pods.ts";
import { revisionLabel } from "../revisions/revisions.ts";
import { oldestFirst, type Place } from "./plan.ts";

/** The status that a DaemonSet's pods on all nodes make. `hash` is that of the template as it is now. */
export function statusOf(
  set: DaemonSet,
  places: readonly Place[],
  hash: string,
  collisionCount: number | undefined,
  now: number,
): DaemonSetStatus {
  const wanted = places.filter((place) => place.wanted);
  // Of several pods on a node the oldest counts.
  const first = wanted.flatMap(({ pods }) => oldestFirst(pods).slice(0, 1));
  const ready = first.filter(isReady);
  const available = ready.filter((pod) => availableIn(pod, set.spec.minReadySeconds ?? 0, now) === 0).length;
  const updated = first.filter(({ metadata }) => metadata.labels?.[revisionLabel] === hash).length;
  const unavailable = wanted.length - available;
  return {
    currentNumberScheduled: first.length,
    numberMisscheduled: places.filter(({ wanted: is, pods }) => !is && pods.length > 0).length,
    desiredNumberScheduled: wanted.length,
    numberReady: ready.length,
    observedGeneration: set.metadata.generation ?? 0,
    ...(updated > 0 ? { updatedNumberScheduled: updated } : {}),
    ...(available > 0 ? { numberAvailable: available } : {}),
    ...(unavailable > 0 ? { numberUnavailable: unavailable } : {}),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(set.status?.conditions ? { conditions: set.status.conditions } : {}),
  };
}

/** Milliseconds until the next pod that is ready becomes available; undefined when there is none to wait for. */
export function nextAvailable(set: DaemonSet, places: readonly Place[], now: number): number | undefined {
  const waits = places
    .flatMap(({ pods }) => pods)
    .map((pod) => availableIn(pod, set.spec.minReadySeconds ?? 0, now))
    .filter((wait) => wait !== undefined && wait > 0);
  return waits.length > 0 ? Math.min(...(waits as number[])) : undefined;
}
