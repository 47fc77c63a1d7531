import { type Pod, scaledValue, type StatefulSet } from "../../kube/index.ts";
import { availableIn, isReady, isTerminal } from "../pods.ts";
import { revisionLabel } from "../revisions/revisions.ts";
import { firstOrdinal, ordinalOf, sizeOf } from "./identity.ts";

/** What is to be done for the pods of a StatefulSet now; the rest waits for what this brings. */
export interface Plan {
  /** Ordinals without a pod. */
  readonly create: readonly number[];
  readonly remove: readonly Pod[];
  /** Milliseconds until a pod that is ready becomes available; undefined when none is waited for. */
  readonly wait: number | undefined;
}

/** Names of the revisions that pods are of, and are to be of. */
export interface Target {
  readonly update: string;
  readonly now: number;
}

/** By ordinal, lowest first. */
export function byOrdinal(set: StatefulSet, pods: readonly Pod[]): Pod[] {
  return [...pods].sort((a, b) => (ordinalOf(set, a) ?? -1) - (ordinalOf(set, b) ?? -1));
}

export const revisionOf = ({ metadata }: Pod): string => metadata.labels?.[revisionLabel] ?? "";
const isLeaving = ({ metadata }: Pod): boolean => metadata.deletionTimestamp !== undefined;
export const isRunningAndReady = (pod: Pod): boolean => pod.status?.phase === "Running" && isReady(pod);

/** The lowest ordinal that an update reaches. */
export function partitionOf(set: StatefulSet): number {
  const { updateStrategy } = set.spec;
  return updateStrategy?.type === "RollingUpdate" ? (updateStrategy.rollingUpdate?.partition ?? 0) : 0;
}

/** True when a new pod of this ordinal is still to be of the revision before the update. */
export const isHeldBack = (set: StatefulSet, ordinal: number): boolean =>
  ordinal < firstOrdinal(set) + partitionOf(set);

/** Decides as upstream: one pod after the other with OrderedReady, all at once with Parallel; an update goes from the last to the first. */
export function planOf(set: StatefulSet, pods: readonly Pod[], { update, now }: Target): Plan {
  const ordered = set.spec.podManagementPolicy !== "Parallel";
  const [first, size] = [firstOrdinal(set), sizeOf(set)];
  const isKept = (pod: Pod): boolean => {
    const ordinal = ordinalOf(set, pod) ?? -1;
    return ordinal >= first && ordinal < first + size;
  };
  const kept = new Map(pods.filter(isKept).map((pod) => [ordinalOf(set, pod), pod]));
  const condemned = byOrdinal(
    set,
    pods.filter((pod) => !isKept(pod) && ordinalOf(set, pod) !== undefined),
  ).reverse();
  const availability = (pod: Pod): number | undefined =>
    isRunningAndReady(pod) ? availableIn(pod, set.spec.minReadySeconds ?? 0, now) : undefined;
  const isAvailable = (pod: Pod): boolean => !isLeaving(pod) && availability(pod) === 0;
  const waits = pods.map(availability).filter((ms) => ms !== undefined && ms > 0) as number[];
  const wait = waits.length > 0 ? Math.min(...waits) : undefined;

  const create: number[] = [];
  const remove: Pod[] = [];
  const done = (): Plan => ({ create, remove, wait });
  for (let ordinal = first; ordinal < first + size; ordinal++) {
    const pod = kept.get(ordinal);
    if (!pod) create.push(ordinal);
    else if (isTerminal(pod) && !isLeaving(pod)) remove.push(pod);
    else if (!ordered || isAvailable(pod)) continue;
    if (ordered) return done();
  }
  for (const pod of condemned) {
    if (!isLeaving(pod)) {
      // All but the first that is not well wait for it: two are never away at once.
      const unwell = [...kept.values(), ...[...condemned].reverse()].find((other) => !isAvailable(other));
      if (ordered && !isAvailable(pod) && pod !== unwell) return done();
      remove.push(pod);
    }
    if (ordered) return done();
  }
  if (set.spec.updateStrategy?.type === "OnDelete" || create.length > 0 || remove.length > 0) return done();

  const living = byOrdinal(set, [...kept.values()]).reverse();
  const unavailable = size - living.filter(isAvailable).length;
  let budget = Math.max(0, maxUnavailableOf(set) - unavailable);
  for (const pod of living) {
    if (isHeldBack(set, ordinalOf(set, pod) ?? 0)) break;
    if (revisionOf(pod) === update || isLeaving(pod)) continue;
    // What is not available anyway costs nothing.
    if (isAvailable(pod) && budget-- <= 0) break;
    remove.push(pod);
  }
  return done();
}

/** Pods that may be away during an update: at least one. */
function maxUnavailableOf(set: StatefulSet): number {
  const amount = set.spec.updateStrategy?.rollingUpdate?.maxUnavailable ?? 1;
  return Math.max(1, scaledValue(amount, sizeOf(set), "down"));
}
