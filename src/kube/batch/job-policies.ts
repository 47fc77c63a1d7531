import type {
  JobSpec,
  PodFailurePolicyOnExitCodesRequirement,
  PodFailurePolicyRule,
  SuccessPolicyRule,
} from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { isQualifiedName } from "../values/names.ts";
import { indexCount } from "./indexes.ts";

const maxRules = 20;
const maxExitCodes = 255;
const maxPatterns = 20;
const maxIndexText = 64 * 1024;
const actions = ["Count", "FailIndex", "FailJob", "Ignore"];
const conditionStates = ["False", "True", "Unknown"];
const operators = ["In", "NotIn"];

const listed = (values: readonly string[]): string =>
  `valid values: [${values.map((one) => JSON.stringify(one)).join(" ")}]`;

/** Faults of what a failed pod of a Job means. */
export function* validateFailurePolicy(spec: JobSpec, path: string): Faults {
  const rules = spec.podFailurePolicy?.rules ?? [];
  if (rules.length > maxRules) yield fault.tooMany(`${path}.rules`, rules.length, maxRules);
  const { containers = [], initContainers = [] } = spec.template.spec ?? {};
  const names = new Set([...containers, ...initContainers].map(({ name }) => name));
  for (const [i, rule] of rules.entries()) yield* validateRule(spec, rule, names, `${path}.rules[${i}]`);
}

function* validateRule(
  spec: JobSpec,
  { action, onExitCodes, onPodConditions = [] }: PodFailurePolicyRule,
  names: ReadonlySet<string>,
  path: string,
): Faults {
  if (action === "") yield fault.required(`${path}.action`, listed(actions));
  else if (action === "FailIndex") {
    if (spec.backoffLimitPerIndex === undefined)
      yield fault.invalid(`${path}.action`, action, "requires the backoffLimitPerIndex to be set");
  } else if (!actions.includes(action)) yield fault.notSupported(`${path}.action`, action, actions);
  if (onExitCodes) yield* validateExitCodes(onExitCodes, names, `${path}.onExitCodes`);
  if (onPodConditions.length > maxPatterns)
    yield fault.tooMany(`${path}.onPodConditions`, onPodConditions.length, maxPatterns);
  for (const [i, { type, status = "" }] of onPodConditions.entries()) {
    const at = `${path}.onPodConditions[${i}]`;
    yield* invalids(`${at}.type`, type, isQualifiedName(type));
    if (!status) yield fault.required(`${at}.status`, listed(conditionStates));
    else if (!conditionStates.includes(status)) yield fault.notSupported(`${at}.status`, status, conditionStates);
  }
  const both = onExitCodes && onPodConditions.length > 0;
  if (both) yield fault.without(path, "specifying both OnExitCodes and OnPodConditions is not supported");
  if (!onExitCodes && onPodConditions.length === 0)
    yield fault.without(path, "specifying one of OnExitCodes and OnPodConditions is required");
}

function* validateExitCodes(
  { operator, containerName, values }: PodFailurePolicyOnExitCodesRequirement,
  names: ReadonlySet<string>,
  path: string,
): Faults {
  if (operator === "") yield fault.required(`${path}.operator`, listed(operators));
  else if (!operators.includes(operator)) yield fault.notSupported(`${path}.operator`, operator, operators);
  if (containerName !== undefined && !names.has(containerName)) {
    const text = "must be one of the container or initContainer names in the pod template";
    yield fault.invalid(`${path}.containerName`, containerName, text);
  }
  const at = `${path}.values`;
  if (values.length === 0) yield fault.invalid(at, values, "at least one value is required");
  else if (values.length > maxExitCodes) yield fault.tooMany(at, values.length, maxExitCodes);
  for (const [i, value] of values.entries()) {
    if (operator === "In" && value === 0)
      yield fault.invalid(`${at}[${i}]`, value, "must not be 0 for the In operator");
    if (values.indexOf(value) < i) yield fault.duplicate(`${at}[${i}]`, value);
  }
  if (values.some((value, i) => value < (values[i - 1] ?? -Infinity)))
    yield fault.invalid(at, values, "must be ordered");
}

/** Faults of when an indexed Job has succeeded before all of its indexes have. */
export function* validateSuccessPolicy(spec: JobSpec, path: string): Faults {
  const rules = spec.successPolicy?.rules ?? [];
  if (rules.length === 0)
    yield fault.required(`${path}.rules`, "at least one rules must be specified when the successPolicy is specified");
  if (rules.length > maxRules) yield fault.tooMany(`${path}.rules`, rules.length, maxRules);
  for (const [i, rule] of rules.entries())
    yield* validateSuccessRule(rule, spec.completions ?? 0, `${path}.rules[${i}]`);
}

function* validateSuccessRule(
  { succeededIndexes, succeededCount }: SuccessPolicyRule,
  completions: number,
  path: string,
): Faults {
  if (succeededCount === undefined && succeededIndexes === undefined)
    yield fault.required(path, "at least one of succeededCount or succeededIndexes must be specified");
  let total = 0;
  if (succeededIndexes !== undefined) {
    const at = `${path}.succeededIndexes`;
    if (succeededIndexes.length > maxIndexText) yield fault.tooLong(at, maxIndexText);
    const count = indexCount(succeededIndexes, completions);
    if (typeof count === "number") total = count;
    else yield fault.invalid(at, succeededIndexes, `error parsing succeededIndexes: ${count.error}`);
  }
  if (succeededCount === undefined) return;
  const at = `${path}.succeededCount`;
  yield* validateNonNegative(succeededCount, at);
  const most = (limit: number, of: string): string => `must be less than or equal to ${limit} (the number of ${of})`;
  if (succeededCount > completions) yield fault.invalid(at, succeededCount, most(completions, "specified completions"));
  if (succeededIndexes !== undefined && succeededCount > total)
    yield fault.invalid(at, succeededCount, most(total, "indexes in the specified succeededIndexes field"));
}
