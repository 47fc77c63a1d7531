import type { Job, Pod } from "../../kube/index.ts";
import { byDispensability } from "../replica-set/ranking.ts";
import { pauseLeft } from "./back-off.ts";
import { judge } from "./policies.ts";
import { failuresBefore, finishTime, indexOf, isIndexed, replacesFailedOnly } from "./pods.ts";

/** What is to be done about the number of a Job's running pods. */
export interface Scale {
  readonly remove: readonly Pod[];
  /** Pods to make: each with its index, if the Job has indexes, and the failed pod that it follows. */
  readonly create: readonly { readonly index?: number; readonly after?: Pod }[];
  /** Milliseconds until more may be made; 0: nothing waits. */
  readonly wait: number;
}

export interface ScaleFacts {
  readonly active: readonly Pod[];
  readonly terminating: number;
  readonly succeeded: number;
  readonly succeededIndexes?: ReadonlySet<number>;
  readonly failedIndexes?: ReadonlySet<number>;
  /** The last failed pod of indexes that may be tried again. */
  readonly lastFailed: ReadonlyMap<number, Pod>;
  /** Milliseconds until another pod may be made after failures, of a Job without a limit for each index. */
  readonly pause: number;
  readonly now: number;
}

/** At most so many pods are made or removed before the cache has to show it. */
const burst = 500;

/** Decides which pods are made or removed: one of both only, so that an index is never worked on twice. */
export function scaleOf(job: Job, facts: ScaleFacts): Scale {
  const { active, now } = facts;
  if (job.spec.suspend) return { remove: active.slice(0, burst), create: [], wait: 0 };
  const wanted = wantedOf(job, facts);
  const remove = surplusOf(job, active, Math.max(0, active.length - wanted), now);
  if (remove.length > 0) return { remove: remove.slice(0, burst), create: [], wait: 0 };
  const terminating = replacesFailedOnly(job) ? facts.terminating : 0;
  const missing = Math.min(burst, wanted - terminating - active.length);
  if (missing <= 0) return { remove: [], create: [], wait: 0 };
  const perIndex = job.spec.backoffLimitPerIndex !== undefined;
  if (!perIndex && facts.pause > 0) return { remove: [], create: [], wait: facts.pause };
  if (!isIndexed(job)) return { remove: [], create: Array.from({ length: missing }, () => ({})), wait: 0 };
  const pending = pendingIndexes(job, facts, missing);
  if (!perIndex) return { remove: [], create: pending.map((index) => ({ index })), wait: 0 };
  const waits: number[] = [];
  const create = pending.flatMap((index) => {
    const after = facts.lastFailed.get(index);
    if (!after) return [{ index }];
    const { counted, ignored } = failuresBefore(after);
    const left = pauseLeft(counted + ignored + 1, finishTime(after, now), now);
    if (left === 0) return [{ index, after }];
    waits.push(left);
    return [];
  });
  return { remove: [], create, wait: waits.length > 0 ? Math.min(...waits) : 0 };
}

function wantedOf({ spec }: Job, { active, succeeded }: ScaleFacts): number {
  const parallelism = spec.parallelism ?? 1;
  // A queue of work that one pod has found empty: the others finish what they have.
  if (spec.completions === undefined) return succeeded > 0 ? active.length : parallelism;
  return Math.max(0, Math.min(spec.completions - succeeded, parallelism));
}

/** Pods that work on an index twice or on none that there is, and then as many as needed of those that are least worth. */
function surplusOf(job: Job, active: readonly Pod[], atLeast: number, now: number): Pod[] {
  const ranked = byDispensability(active, () => 0, now);
  const remove = new Set<Pod>();
  if (isIndexed(job)) {
    const taken = new Set<number>();
    for (const pod of [...ranked].reverse()) {
      const index = indexOf(pod);
      if (index === undefined || index >= (job.spec.completions ?? 0) || taken.has(index)) remove.add(pod);
      else taken.add(index);
    }
  }
  for (const pod of ranked) {
    if (remove.size >= atLeast) break;
    remove.add(pod);
  }
  return [...remove];
}

/** The lowest indexes that are neither done nor failed nor worked on. */
function pendingIndexes(job: Job, { active, succeededIndexes, failedIndexes }: ScaleFacts, count: number): number[] {
  const taken = new Set(active.map(indexOf));
  const found: number[] = [];
  for (let index = 0; index < (job.spec.completions ?? 0) && found.length < count; index++) {
    if (!taken.has(index) && !succeededIndexes?.has(index) && !failedIndexes?.has(index)) found.push(index);
  }
  return found;
}

/** How often the index of a pod that follows another has failed: what its annotations say. */
export function failuresWith(job: Job, after: Pod): { readonly counted: number; readonly ignored: number } {
  const { counted, ignored } = failuresBefore(after);
  return judge(job, after).counts ? { counted: counted + 1, ignored } : { counted, ignored: ignored + 1 };
}
