import { findCondition, matchesLabels, type Pod, type PodDisruptionBudget } from "../kube/index.ts";
import { type CountingFilter, createFilter, type Objection } from "./filters.ts";
import { draftOf, type NodeInfo } from "./node-info.ts";
import { priorityOf } from "./priority.ts";
import { unavailable } from "./schedule.ts";
import type { Surroundings } from "./surroundings.ts";

export type Preemption =
  | {
      readonly nodeName: string;
      /** Pods that are to end, the most important first. */
      readonly victims: readonly Pod[];
      /** Pods that less is to be kept for: room was made for them here before, and they have less to say. */
      readonly outranked: readonly Pod[];
    }
  /** Why no pod ends for this one, in upstream's words. */
  | { readonly message: string; readonly waits: boolean };

/** What would have to end on a node. */
interface Candidate {
  readonly info: NodeInfo;
  readonly victims: readonly Pod[];
  /** How many of them their PodDisruptionBudget protects. */
  readonly violations: number;
}

/** Upstream looks at a tenth of the nodes, and at no fewer than this. */
const fewestCandidates = 100;

/**
 * Chooses pods of lower priority that are to end so that `pod`, which found no place, gets one (kube-scheduler's DefaultPreemption).
 * As few as possible end, and of several nodes that one is taken where the least is lost: the fewest that a budget protects, then the
 * lowest priority of the highest of them, the lowest sum of priorities, the fewest, the ones that started last. `objections` are those
 * of `schedule`, one for each of `nodes`. Pure.
 */
export function preempt(
  pod: Pod,
  nodes: readonly NodeInfo[],
  objections: readonly Objection[],
  surroundings: Surroundings,
  budgets: readonly PodDisruptionBudget[],
): Preemption {
  if (pod.spec.preemptionPolicy === "Never") {
    return { message: "not eligible due to preemptionPolicy=Never.", waits: false };
  }
  if (nodes.some((info, i) => isBeingCleared(pod, info) && objections[i]?.curable !== false)) {
    return { message: "not eligible due to a terminating pod on the nominated node.", waits: true };
  }
  const filter = createFilter(pod, nodes, surroundings);
  const enough = Math.max(fewestCandidates, Math.ceil(nodes.length / 10));
  const candidates: Candidate[] = [];
  const faults: Pick<Objection, "reasons">[] = [];
  for (const [i, info] of nodes.entries()) {
    if (candidates.length >= enough) break;
    const found = objections[i]?.curable
      ? candidateOn(info, pod, filter, budgets)
      : { reasons: ["Preemption is not helpful for scheduling"] };
    if ("reasons" in found) faults.push(found);
    else candidates.push(found);
  }
  const [first, ...others] = candidates;
  if (!first) return { message: unavailable(faults), waits: false };
  const { info, victims } = others.reduce((best, one) => (isBetter(one, best) ? one : best), first);
  const outranked = [...info.nominated.values()].filter((other) => priorityOf(other) < priorityOf(pod));
  return { nodeName: info.node.metadata.name, victims, outranked };
}

/** True when pods are ending there already so that this one gets their place. */
function isBeingCleared(pod: Pod, { nominated, pods }: NodeInfo): boolean {
  if (!nominated.has(pod.metadata.uid ?? "")) return false;
  return [...pods.values()].some(
    (other) =>
      priorityOf(other) < priorityOf(pod) &&
      other.metadata.deletionTimestamp !== undefined &&
      findCondition(other.status?.conditions, "DisruptionTarget")?.reason === "PreemptionByScheduler",
  );
}

/** The fewest pods that must end for `pod` to fit: all of lower priority are taken away, then each that it fits beside comes back. */
function candidateOn(
  info: NodeInfo,
  pod: Pod,
  filter: CountingFilter,
  budgets: readonly PodDisruptionBudget[],
): Candidate | Pick<Objection, "reasons"> {
  const lower = [...info.pods.values()].filter((other) => priorityOf(other) < priorityOf(pod)).sort(byImportance);
  if (lower.length === 0) return { reasons: ["No preemption victims found for incoming pod"] };
  const draft = draftOf(info);
  const takeAway = (other: Pod): void => {
    draft.remove(other);
    filter.count(other, info, -1);
  };
  const putBack = (other: Pod): void => {
    draft.add(other);
    filter.count(other, info, 1);
  };
  for (const other of lower) takeAway(other);
  const fault = filter.check(draft);
  if (fault) {
    for (const other of lower) filter.count(other, info, 1);
    return fault;
  }
  const endsIfNeeded = (other: Pod): boolean => {
    putBack(other);
    if (!filter.check(draft)) return false;
    takeAway(other);
    return true;
  };
  const { kept, free } = byBudget(lower, budgets);
  const violating = kept.filter(endsIfNeeded);
  const ending = new Set([...violating, ...free.filter(endsIfNeeded)]);
  const victims = lower.filter((other) => ending.has(other));
  for (const other of victims) filter.count(other, info, 1);
  return { info, victims, violations: violating.length };
}

/** The pods that may not be disrupted now by a budget, when one after another is, and those that may. A pod without labels has no budget. */
function byBudget(pods: readonly Pod[], budgets: readonly PodDisruptionBudget[]): { kept: Pod[]; free: Pod[] } {
  const left = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]));
  const kept: Pod[] = [];
  const free: Pod[] = [];
  for (const pod of pods) {
    const { name, namespace, labels = {} } = pod.metadata;
    let isKept = false;
    for (const [budget, allowed] of left) {
      if (Object.keys(labels).length === 0 || budget.metadata.namespace !== namespace) continue;
      if (!budget.spec.selector || !matchesLabels(budget.spec.selector, labels)) continue;
      // The API server has counted it already.
      if (budget.status?.disruptedPods?.[name] !== undefined) continue;
      left.set(budget, allowed - 1);
      isKept ||= allowed <= 0;
    }
    (isKept ? kept : free).push(pod);
  }
  return { kept, free };
}

/** Milliseconds; of a pod that has not started: after all that have. */
const startOf = ({ status }: Pod): number =>
  status?.startTime === undefined ? Infinity : Date.parse(status.startTime);

function byImportance(a: Pod, b: Pod): number {
  const [one, other] = [startOf(a), startOf(b)];
  return priorityOf(b) - priorityOf(a) || (one === other ? 0 : one < other ? -1 : 1);
}

/** Priorities may be negative; one more pod must not make a sum of them less. */
const weightOf = (pod: Pod): number => priorityOf(pod) + 2 ** 31;

function isBetter(a: Candidate, b: Candidate): boolean {
  const highest = ({ victims }: Candidate): number => Math.max(-Infinity, ...victims.map(priorityOf));
  const sum = ({ victims }: Candidate): number => victims.reduce((total, pod) => total + weightOf(pod), 0);
  const count = ({ victims }: Candidate): number => victims.length;
  /** Earlier is worse: those have run the longest. */
  const age = (one: Candidate): number =>
    -Math.min(...one.victims.filter((pod) => priorityOf(pod) === highest(one)).map(startOf));
  for (const cost of [({ violations }: Candidate) => violations, highest, sum, count, age]) {
    const [ours, theirs] = [cost(a), cost(b)];
    if (ours !== theirs) return ours < theirs;
  }
  return false;
}
