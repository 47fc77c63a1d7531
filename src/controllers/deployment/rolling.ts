import type { Deployment, ReplicaSet } from "../../kube/index.ts";
import { isRolling, maxSurgeOf, maxUnavailableOf, wantedOf } from "./limits.ts";
import { desiredAnnotation, maxAnnotation, wholeNumber } from "./revisions.ts";
import { availableOf, byAge, type Sets, sizeOf, sum } from "./sets.ts";

/** A ReplicaSet and the size it should have. */
export interface Scale {
  readonly set: ReplicaSet;
  readonly replicas: number;
}

/** The size that the current ReplicaSet may have now: `size` is what it has, `total` what all have together. */
export function currentSize(deployment: Deployment, size: number, total: number): number {
  const wanted = wantedOf(deployment);
  if (!isRolling(deployment) || size >= wanted) return wanted;
  const room = wanted + maxSurgeOf(deployment) - total;
  return room <= 0 ? size : size + Math.min(room, wanted - size);
}

/**
 * The next step by which old ReplicaSets of a rolling update shrink: first pods that aren't available anyway, then as
 * many as leaves enough available. Empty when nothing may go yet.
 */
export function shrinkOld(deployment: Deployment, { current, old }: Sets): Scale[] {
  const active = old.filter((set) => sizeOf(set) > 0).sort(byAge);
  const all = current ? [...active, current] : active;
  const least = wantedOf(deployment) - maxUnavailableOf(deployment);
  const currentMissing = current ? sizeOf(current) - availableOf(current) : 0;
  const mayGo = sum(all, sizeOf) - least - currentMissing;
  if (active.length === 0 || mayGo <= 0) return [];

  const sizes = new Map(active.map((set) => [set, sizeOf(set)]));
  const take = (budget: number, most: (set: ReplicaSet, size: number) => number) => {
    for (const set of active) {
      const size = sizes.get(set) ?? 0;
      const count = Math.max(0, Math.min(budget, most(set, size)));
      sizes.set(set, size - count);
      budget -= count;
    }
  };
  take(mayGo, (set, size) => size - availableOf(set));
  take(sum(all, availableOf) - least, (_set, size) => size);
  return active
    .map((set) => ({ set, replicas: sizes.get(set) ?? 0 }))
    .filter(({ set, replicas }) => replicas !== sizeOf(set));
}

/** True when the Deployment's size was changed since its ReplicaSets were last scaled. */
export function wasResized(deployment: Deployment, sets: readonly ReplicaSet[]): boolean {
  return sets.some((set) => {
    const desired = wholeNumber(set.metadata.annotations?.[desiredAnnotation]);
    return sizeOf(set) > 0 && desired !== undefined && desired !== wantedOf(deployment);
  });
}

/** Sizes after a change of the Deployment's size, without going on with a rollout: each ReplicaSet gets its share. */
export function resize(deployment: Deployment, { current, old }: Sets): Scale[] {
  const wanted = wantedOf(deployment);
  const active = [...old, ...(current ? [current] : [])].filter((set) => sizeOf(set) > 0);
  const youngest = [...old].sort(byAge).at(-1);
  const only = active.length === 0 ? (current ?? youngest) : active.length === 1 ? active[0] : undefined;
  if (only) return [{ set: only, replicas: wanted }];
  if (current && isSaturated(deployment, current))
    return active.filter((set) => set !== current).map((set) => ({ set, replicas: 0 }));
  return isRolling(deployment) ? share(deployment, active) : [];
}

function isSaturated(deployment: Deployment, set: ReplicaSet): boolean {
  const wanted = wantedOf(deployment);
  const desired = wholeNumber(set.metadata.annotations?.[desiredAnnotation]);
  return sizeOf(set) === wanted && desired === wanted && availableOf(set) === wanted;
}

/** Adds or takes away in proportion to the sizes, the largest first; what rounding leaves goes to the first. */
function share(deployment: Deployment, active: readonly ReplicaSet[]): Scale[] {
  const wanted = wantedOf(deployment);
  const allowed = wanted > 0 ? wanted + maxSurgeOf(deployment) : 0;
  const change = allowed - sum(active, sizeOf);
  // Of the same size, the younger grows first and the older shrinks first.
  const ordered = [...active].sort((a, b) => sizeOf(b) - sizeOf(a) || (change > 0 ? byAge(b, a) : byAge(a, b)));
  let given = 0;
  const scales = ordered.map((set) => {
    const part = change === 0 ? 0 : proportion(deployment, set, change, given);
    given += part;
    return { set, replicas: sizeOf(set) + part };
  });
  return scales.map((scale, i) =>
    i === 0 ? { ...scale, replicas: Math.max(0, scale.replicas + change - given) } : scale,
  );
}

function proportion(deployment: Deployment, set: ReplicaSet, change: number, given: number): number {
  const left = change - given;
  if (left === 0) return 0;
  const wanted = wantedOf(deployment);
  const size = sizeOf(set);
  const before = wholeNumber(set.metadata.annotations?.[maxAnnotation]) || (deployment.status?.replicas ?? 0);
  const target =
    wanted === 0 ? 0 : before === 0 ? size : Math.round((size * (wanted + maxSurgeOf(deployment))) / before);
  const part = target - size;
  return change > 0 ? Math.min(part, left) : Math.max(part, left);
}
