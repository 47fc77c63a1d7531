import { type Deployment, parseTime, type ReplicaSet, semanticEqual } from "../../kube/index.ts";
import { withoutHash } from "./hash.ts";

/** The ReplicaSets of a Deployment: that of its template, if there is one, and all others. */
export interface Sets {
  readonly current: ReplicaSet | undefined;
  readonly old: readonly ReplicaSet[];
}

/** Of several with the same template the oldest is the current one, so that controllers never disagree. */
export function splitSets(deployment: Deployment, sets: readonly ReplicaSet[]): Sets {
  const template = withoutHash(deployment.spec.template);
  const current = [...sets].sort(byAge).find((set) => semanticEqual(withoutHash(set.spec.template), template));
  return { current, old: sets.filter((set) => set !== current) };
}

/** Oldest first; of the same age by name. */
export function byAge(a: ReplicaSet, b: ReplicaSet): number {
  const [created, other] = [createdAt(a), createdAt(b)];
  return created === other ? (a.metadata.name < b.metadata.name ? -1 : 1) : created - other;
}

const createdAt = (set: ReplicaSet): number => parseTime(set.metadata.creationTimestamp ?? "") ?? 0;

export const sizeOf = (set: ReplicaSet): number => set.spec.replicas ?? 1;
export const availableOf = (set: ReplicaSet): number => set.status?.availableReplicas ?? 0;

export const sum = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((total, item) => total + of(item), 0);
