import {
  type Job,
  type Pod,
  type PodFailurePolicyOnExitCodesRequirement,
  type PodFailurePolicyRule,
} from "../../kube/index.ts";
import { failuresBefore, hasFailed, indexOf } from "./pods.ts";
import { readIndexes } from "./index-set.ts";

/** What a Job's podFailurePolicy says of a failed pod (KEP-3329). */
export interface Judgement {
  readonly action: "FailJob" | "FailIndex" | "Ignore" | "Count" | undefined;
  /** Counts towards backoffLimit. */
  readonly counts: boolean;
  /** Why the Job has failed, with FailJob. */
  readonly message?: string;
}

const byDefault: Judgement = { action: undefined, counts: true };

/** The first rule that fits a failed pod decides. */
export function judge({ spec }: Job, pod: Pod): Judgement {
  for (const [i, rule] of (spec.podFailurePolicy?.rules ?? []).entries()) {
    const found = matchOf(rule, pod);
    if (found === undefined) continue;
    const { action } = rule;
    if (action === "FailJob")
      return { action, counts: true, message: `${found} matching ${action} rule at index ${i}` };
    if (action === "Ignore") return { action, counts: false };
    if (action === "FailIndex") {
      // Without a limit for each index the rule is as if it were not there.
      if (spec.backoffLimitPerIndex === undefined) continue;
      return { action, counts: true };
    }
    if (action === "Count") return { action, counts: true };
  }
  return byDefault;
}

/** What of the pod a rule fits, in upstream's words. */
function matchOf({ onExitCodes, onPodConditions = [] }: PodFailurePolicyRule, pod: Pod): string | undefined {
  const { namespace, name } = pod.metadata;
  if (onExitCodes) {
    const container = containerOf(onExitCodes, pod);
    return (
      container && `Container ${container.name} for pod ${namespace}/${name} failed with exit code ${container.code}`
    );
  }
  for (const pattern of onPodConditions) {
    const { type, status = "True" } = pattern;
    if (pod.status?.conditions?.some((condition) => condition.type === type && condition.status === status))
      return `Pod ${namespace}/${name} has condition ${type}`;
  }
  return undefined;
}

function containerOf(
  { containerName, operator, values }: PodFailurePolicyOnExitCodesRequirement,
  { status }: Pod,
): { readonly name: string; readonly code: number } | undefined {
  for (const { name, state } of [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])]) {
    const code = state?.terminated?.exitCode;
    if (!code || (containerName !== undefined && containerName !== name)) continue;
    if (values.includes(code) === (operator === "In")) return { name, code };
  }
  return undefined;
}

/** True when the index of a failed pod has failed for good. */
export function failsIndex(job: Job, pod: Pod): boolean {
  const { backoffLimitPerIndex } = job.spec;
  if (backoffLimitPerIndex === undefined || !hasFailed(job, pod)) return false;
  const { action, counts } = judge(job, pod);
  if (action === "FailIndex") return true;
  return counts && failuresBefore(pod).counted >= backoffLimitPerIndex;
}

/** The indexes that have failed for good: those in the status, and those of the pods that failed since. */
export function failedIndexes(job: Job, pods: readonly Pod[]): Set<number> {
  const completions = job.spec.completions ?? 0;
  const indexes = readIndexes(job.status?.failedIndexes, completions);
  for (const pod of pods) {
    const index = indexOf(pod);
    if (index !== undefined && index < completions && failsIndex(job, pod)) indexes.add(index);
  }
  return indexes;
}

/** Why a Job is done before all its indexes are (KEP-3998); undefined when it is not. */
export function earlySuccess({ spec }: Job, succeeded: ReadonlySet<number>): string | undefined {
  if (succeeded.size === 0) return undefined;
  for (const [i, { succeededIndexes, succeededCount }] of (spec.successPolicy?.rules ?? []).entries()) {
    const asked = succeededIndexes === undefined ? undefined : readIndexes(succeededIndexes, spec.completions ?? 0);
    const met = asked ? [...asked].filter((index) => succeeded.has(index)).length : succeeded.size;
    if (met >= (succeededCount ?? asked?.size ?? Infinity)) return `Matched rules at index ${i}`;
  }
  return undefined;
}
