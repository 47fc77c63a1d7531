import {
  formatTime,
  parseTime,
  type Pod,
  type PodDisruptionBudget,
  type PodDisruptionBudgetStatus,
  scaledValue,
  setCondition,
} from "../../kube/index.ts";
import { isReady, isTerminal } from "../pods.ts";

/** Milliseconds after which an eviction counts no more that nothing came of. */
const patience = 120_000;

/** Why the status of a budget cannot be said. */
export interface BudgetFault {
  readonly error: string;
}

/** How many pods there should be, and how many of them have to be healthy. */
export interface Needs {
  readonly expected: number;
  readonly healthy: number;
}

/**
 * What a budget needs. `scale` is the number of pods that their controllers want; it is asked only where a percentage or
 * maxUnavailable is of it.
 */
export function needsOf(
  { spec }: PodDisruptionBudget,
  pods: readonly Pod[],
  scale: () => number | BudgetFault,
): Needs | BudgetFault {
  const { minAvailable, maxUnavailable } = spec;
  if (typeof minAvailable === "number") return { expected: pods.length, healthy: minAvailable };
  if (minAvailable === undefined && maxUnavailable === undefined) return { expected: pods.length, healthy: 0 };
  const expected = scale();
  if (typeof expected !== "number") return expected;
  if (maxUnavailable !== undefined)
    return { expected, healthy: Math.max(0, expected - scaledValue(maxUnavailable, expected, "up")) };
  return { expected, healthy: scaledValue(minAvailable ?? 0, expected, "up") };
}

/** The evictions that nothing has come of yet, and the milliseconds until the first of them counts no more. */
export function openEvictions(
  { status }: PodDisruptionBudget,
  pods: readonly Pod[],
  now: number,
): { readonly evicted: Record<string, string>; readonly again: number | undefined } {
  const evicted: Record<string, string> = {};
  const left: number[] = [];
  for (const [name, time] of Object.entries(status?.disruptedPods ?? {})) {
    const pod = pods.find(({ metadata }) => metadata.name === name);
    const until = (parseTime(time) ?? 0) + patience - now;
    if (!pod || pod.metadata.deletionTimestamp || until <= 0) continue;
    evicted[name] = time;
    left.push(until);
  }
  return { evicted, again: left.length > 0 ? Math.min(...left) : undefined };
}

/** The status of a budget with these needs. */
export function statusOf(
  budget: PodDisruptionBudget,
  pods: readonly Pod[],
  { expected, healthy }: Needs,
  evicted: Readonly<Record<string, string>>,
  now: number,
): PodDisruptionBudgetStatus {
  const currentHealthy = pods.filter(
    (pod) => isReady(pod) && !pod.metadata.deletionTimestamp && !isTerminal(pod) && !evicted[pod.metadata.name],
  ).length;
  const disruptionsAllowed = expected > 0 ? Math.max(0, currentHealthy - healthy) : 0;
  const [status, reason] = disruptionsAllowed > 0 ? ["True", "SufficientPods"] : ["False", "InsufficientPods"];
  return {
    ...(Object.keys(evicted).length > 0 ? { disruptedPods: { ...evicted } } : {}),
    currentHealthy,
    desiredHealthy: healthy,
    disruptionsAllowed,
    expectedPods: expected,
    observedGeneration: budget.metadata.generation ?? 0,
    conditions: withCondition(budget, { status: status ?? "False", reason: reason ?? "", message: "" }, now),
  };
}

/** The status that allows nothing, because it is not known what may be. */
export function failedStatus(
  budget: PodDisruptionBudget,
  { error }: BudgetFault,
  now: number,
): PodDisruptionBudgetStatus {
  const { currentHealthy = 0, desiredHealthy = 0, expectedPods = 0, ...rest } = budget.status ?? {};
  const conditions = withCondition(budget, { status: "False", reason: "SyncFailed", message: error }, now);
  return { ...rest, currentHealthy, desiredHealthy, expectedPods, disruptionsAllowed: 0, conditions };
}

function withCondition(
  { metadata, status }: PodDisruptionBudget,
  { status: value, reason, message }: { status: string; reason: string; message: string },
  now: number,
): NonNullable<PodDisruptionBudgetStatus["conditions"]> {
  const condition = {
    type: "DisruptionAllowed",
    status: value,
    reason,
    message,
    observedGeneration: metadata.generation ?? 0,
  };
  return [...setCondition(status?.conditions, condition, formatTime(now))];
}
