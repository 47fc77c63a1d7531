import type { Pod, StatefulSet, StatefulSetStatus } from "../../kube/index.ts";
import { availableIn } from "../pods.ts";
import { isRunningAndReady, revisionOf } from "./plan.ts";
import { sizeOf } from "./identity.ts";

/** The status that the pods of a StatefulSet make. `current` and `update` are names of revisions. */
export function statusOf(
  set: StatefulSet,
  pods: readonly Pod[],
  { current, update }: { readonly current: string; readonly update: string },
  collisionCount: number | undefined,
  now: number,
): StatefulSetStatus {
  const ready = pods.filter(isRunningAndReady);
  const available = ready.filter((pod) => availableIn(pod, set.spec.minReadySeconds ?? 0, now) === 0);
  const staying = pods.filter(({ metadata }) => !metadata.deletionTimestamp);
  const ofRevision = (name: string): number => staying.filter((pod) => revisionOf(pod) === name).length;
  const updated = ofRevision(update);
  const size = sizeOf(set);
  // With all pods updated and ready the update is over: the next one starts from here.
  const complete =
    set.spec.updateStrategy?.type !== "OnDelete" && updated === size && ready.length === size && pods.length === size;
  const started = complete ? update : current;
  const currentReplicas = ofRevision(started);
  return {
    replicas: pods.length,
    ...(ready.length > 0 ? { readyReplicas: ready.length } : {}),
    availableReplicas: available.length,
    ...(currentReplicas > 0 ? { currentReplicas } : {}),
    ...(updated > 0 ? { updatedReplicas: updated } : {}),
    currentRevision: started,
    updateRevision: update,
    collisionCount: collisionCount ?? 0,
    observedGeneration: set.metadata.generation ?? 0,
    ...(set.status?.conditions ? { conditions: set.status.conditions } : {}),
  };
}
