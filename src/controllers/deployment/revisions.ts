import type { Deployment, ReplicaSet } from "../../kube/index.ts";
import { maxSurgeOf } from "./limits.ts";
import { byAge } from "./sets.ts";

export const revisionAnnotation = "deployment.kubernetes.io/revision";
const historyAnnotation = "deployment.kubernetes.io/revision-history";
export const desiredAnnotation = "deployment.kubernetes.io/desired-replicas";
export const maxAnnotation = "deployment.kubernetes.io/max-replicas";

/** Annotations of a Deployment that its ReplicaSets don't take over. */
const own = new Set([
  "kubectl.kubernetes.io/last-applied-configuration",
  "deprecated.deployment.rollback.to",
  revisionAnnotation,
  historyAnnotation,
  desiredAnnotation,
  maxAnnotation,
]);

/** Characters that the history of revisions may take. */
const historyLimit = 2000;

/** Revisions are 64 bit numbers; 0 where there is none. */
const revisionNumber = (text: string | undefined): bigint =>
  text !== undefined && /^\d{1,19}$/.test(text) ? BigInt(text) : 0n;

export const revisionOf = (set: ReplicaSet): bigint => revisionNumber(set.metadata.annotations?.[revisionAnnotation]);

/** The revision that the current ReplicaSet has to have: the highest. */
export const nextRevision = (old: readonly ReplicaSet[]): bigint =>
  old.map(revisionOf).reduce((highest, revision) => (revision > highest ? revision : highest), 0n) + 1n;

/** Annotations of the current ReplicaSet: those of the Deployment, its revision, and the revisions it had before. */
export function annotationsOf(
  deployment: Deployment,
  set: ReplicaSet | undefined,
  revision: bigint,
): Record<string, string> {
  const annotations: Record<string, string> = { ...set?.metadata.annotations };
  for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {})) {
    if (!own.has(key)) annotations[key] = value;
  }
  const before = annotations[revisionAnnotation];
  if (revisionNumber(before) < revision) {
    annotations[revisionAnnotation] = String(revision);
    if (before) annotations[historyAnnotation] = history(annotations[historyAnnotation], before);
  }
  return set ? annotations : { ...annotations, ...scaleAnnotations(deployment) };
}

/** How large the Deployment was when the ReplicaSet was last scaled: a change of size is told from a rollout by it. */
export function scaleAnnotations(deployment: Deployment): Record<string, string> {
  const replicas = deployment.spec.replicas ?? 1;
  return { [desiredAnnotation]: String(replicas), [maxAnnotation]: String(replicas + maxSurgeOf(deployment)) };
}

/** The revisions a ReplicaSet has had, the oldest dropped when there are too many. */
function history(known: string | undefined, revision: string): string {
  const all = [...(known ? known.split(",") : []), revision];
  while (all.join(",").length > historyLimit) all.shift();
  return all.join(",");
}

/** The number in an annotation; undefined when there is none. */
export const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;

/** Old ReplicaSets that the history has no room for; one that still has pods, or is not settled, stays. */
export function expired(deployment: Deployment, old: readonly ReplicaSet[]): ReplicaSet[] {
  const limit = deployment.spec.revisionHistoryLimit ?? 10;
  const alive = old.filter(({ metadata }) => !metadata.deletionTimestamp);
  return alive
    .sort((a, b) => Number(revisionOf(a) - revisionOf(b)) || byAge(a, b))
    .slice(0, Math.max(0, alive.length - limit))
    .filter(({ metadata, spec, status }) => {
      const settled = (metadata.generation ?? 0) <= (status?.observedGeneration ?? 0);
      return settled && (status?.replicas ?? 0) === 0 && spec.replicas === 0;
    });
}
