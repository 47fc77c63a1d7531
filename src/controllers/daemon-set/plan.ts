import { type DaemonSet, parseTime, type Pod, scaledValue } from "../../kube/index.ts";
import { availableIn } from "../pods.ts";
import { revisionLabel } from "../revisions/revisions.ts";

/** What of a DaemonSet is on a node. */
export interface Place {
  readonly node: string;
  /** The node is to have a pod. */
  readonly wanted: boolean;
  /** A pod that is there may stay. */
  readonly mayStay: boolean;
  readonly pods: readonly Pod[];
}

export interface Plan {
  /** Nodes that get a pod. */
  readonly create: readonly string[];
  readonly remove: readonly Pod[];
  /** Pods among those that have come to an end: others take their place. */
  readonly ended: readonly Pod[];
}

const isLeaving = ({ metadata }: Pod): boolean => metadata.deletionTimestamp !== undefined;
const createdAt = ({ metadata }: Pod): number => parseTime(metadata.creationTimestamp ?? "") ?? 0;
export const oldestFirst = (pods: readonly Pod[]): Pod[] =>
  [...pods].sort((a, b) => createdAt(a) - createdAt(b) || (a.metadata.name < b.metadata.name ? -1 : 1));

/** Counts of pods that may be there in addition, or be away, during an update of so many nodes. */
export function limitsOf({ spec }: DaemonSet, nodes: number): { readonly surge: number; readonly unavailable: number } {
  const { maxSurge = 0, maxUnavailable = 1 } = spec.updateStrategy?.rollingUpdate ?? {};
  const surge = scaledValue(maxSurge, nodes, "up");
  const unavailable = scaledValue(maxUnavailable, nodes, "up");
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable };
}

export interface PlanFacts {
  /** Of the template as it is now. */
  readonly hash: string;
  readonly now: number;
}

/** Decides as upstream: first each node gets what it lacks and loses what it has too much, then pods are updated as far as they may. */
export function planOf(set: DaemonSet, places: readonly Place[], { hash, now }: PlanFacts): Plan {
  const isAvailable = (pod: Pod): boolean =>
    !isLeaving(pod) && availableIn(pod, set.spec.minReadySeconds ?? 0, now) === 0;
  const isNew = ({ metadata }: Pod): boolean => metadata.labels?.[revisionLabel] === hash;
  const rolling = set.spec.updateStrategy?.type !== "OnDelete";
  const { surge, unavailable } = limitsOf(set, places.filter(({ wanted }) => wanted).length);
  const surging = rolling && surge > 0;
  const create: string[] = [];
  const remove: Pod[] = [];
  const ended: Pod[] = [];

  for (const { node, wanted, mayStay, pods } of places) {
    const staying = oldestFirst(pods.filter((pod) => !isLeaving(pod)));
    if (!mayStay) {
      remove.push(...staying);
      continue;
    }
    const over = staying.filter(({ status }) => status?.phase === "Failed" || status?.phase === "Succeeded");
    ended.push(...over);
    const running = staying.filter((pod) => !over.includes(pod));
    if (pods.length === 0 || (surging && running.length === 0 && over.length === 0)) {
      if (wanted) create.push(node);
      continue;
    }
    if (running.length <= 1) continue;
    if (!surging) {
      remove.push(...running.slice(1));
      continue;
    }
    // Two are there as long as the new one is not available and the old one is.
    const [oldest, newest] = [running.find((pod) => !isNew(pod)), running.find(isNew)];
    const keep = new Set([newest, ...(newest && isAvailable(newest) ? [] : [oldest])]);
    remove.push(...running.filter((pod) => !keep.has(pod)));
  }
  if (!rolling || create.length + remove.length + ended.length > 0)
    return { create, remove: [...remove, ...ended], ended };

  const candidates: Pod[] = [];
  const nodes: string[] = [];
  let busy = 0;
  for (const { node, wanted, pods } of places) {
    if (!wanted && pods.length === 0) continue;
    const [old, current] = [pods.filter((pod) => !isNew(pod) && !isLeaving(pod)), pods.filter((pod) => isNew(pod))];
    const [before] = old;
    const after = current.find((pod) => !isLeaving(pod));
    if (surging) {
      if (!before) continue;
      if (after) {
        if (!isAvailable(after)) busy++;
      } else if (!wanted) continue;
      else if (!isAvailable(before)) create.push(node);
      else nodes.push(node);
    } else if (!before || after) {
      if (!after || !isAvailable(after)) busy++;
    } else if (!isAvailable(before)) {
      // What is not available anyway costs nothing.
      remove.push(before);
      busy++;
    } else candidates.push(before);
  }
  remove.push(...candidates.slice(0, Math.max(0, unavailable - busy)));
  create.push(...nodes.slice(0, Math.max(0, surge - busy)));
  return { create, remove, ended };
}
