import type {
  Affinity,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinity,
  PodAffinityTerm,
  TopologySpreadConstraint,
} from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateOneOf } from "../validation/ports.ts";
import { inRange, isDns1123Label, isQualifiedName } from "../values/names.ts";

/** Faults of where a pod wants to run. */
export function* validateAffinity(affinity: Affinity | undefined, path: string): Faults {
  const node = affinity?.nodeAffinity;
  const required = node?.requiredDuringSchedulingIgnoredDuringExecution;
  const requiredField = "requiredDuringSchedulingIgnoredDuringExecution";
  const preferredField = "preferredDuringSchedulingIgnoredDuringExecution";
  if (required) {
    const at = `${path}.nodeAffinity.${requiredField}.nodeSelectorTerms`;
    const terms = required.nodeSelectorTerms ?? [];
    if (terms.length === 0) yield fault.required(at, "must have at least one node selector term");
    for (const [i, term] of terms.entries()) yield* validateNodeTerm(term, `${at}[${i}]`);
  }
  for (const [i, { weight, preference }] of (node?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
    const at = `${path}.nodeAffinity.${preferredField}[${i}]`;
    yield* validateWeight(weight, at);
    yield* validateNodeTerm(preference ?? {}, `${at}.preference`);
  }
  for (const field of ["podAffinity", "podAntiAffinity"] as const) {
    yield* validatePodAffinity(affinity?.[field], `${path}.${field}`);
  }
}

function* validateWeight(weight: number, path: string): Faults {
  if (inRange(weight, 1, 100).length > 0) yield fault.invalid(`${path}.weight`, weight, "must be in the range 1-100");
}

function* validateNodeTerm(term: NodeSelectorTerm, path: string): Faults {
  for (const field of ["matchExpressions", "matchFields"] as const) {
    for (const [i, requirement] of (term[field] ?? []).entries()) {
      yield* validateNodeRequirement(requirement, field === "matchFields", `${path}.${field}[${i}]`);
    }
  }
}

function* validateNodeRequirement(requirement: NodeSelectorRequirement, isField: boolean, path: string): Faults {
  const { key, operator, values = [] } = requirement;
  switch (operator) {
    case "In":
    case "NotIn":
      if (values.length === 0)
        yield fault.required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'");
      break;
    case "Exists":
    case "DoesNotExist":
      if (values.length > 0) {
        yield fault.forbidden(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
      break;
    case "Gt":
    case "Lt":
      if (values.length !== 1)
        yield fault.required(`${path}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'");
      break;
    default:
      yield fault.invalid(`${path}.operator`, operator, "not a valid selector operator");
  }
  if (!isField) yield* invalids(`${path}.key`, key, isQualifiedName(key));
  else if (key !== "metadata.name") yield fault.invalid(`${path}.key`, key, "not a valid field selector key");
}

function* validatePodAffinity(affinity: PodAffinity | undefined, path: string): Faults {
  for (const [i, term] of (affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
    yield* validatePodTerm(term, `${path}.requiredDuringSchedulingIgnoredDuringExecution[${i}]`);
  }
  for (const [i, weighted] of (affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
    const at = `${path}.preferredDuringSchedulingIgnoredDuringExecution[${i}]`;
    yield* validateWeight(weighted.weight, at);
    if (weighted.podAffinityTerm) yield* validatePodTerm(weighted.podAffinityTerm, `${at}.podAffinityTerm`);
  }
}

function* validatePodTerm(term: PodAffinityTerm, path: string): Faults {
  yield* validateLabelSelector(term.labelSelector, `${path}.labelSelector`);
  yield* validateLabelSelector(term.namespaceSelector, `${path}.namespaceSelector`);
  for (const name of term.namespaces ?? []) yield* invalids(`${path}.namespace`, name, isDns1123Label(name));
  if (!term.topologyKey) yield fault.required(`${path}.topologyKey`, "can not be empty");
  else yield* invalids(`${path}.topologyKey`, term.topologyKey, isQualifiedName(term.topologyKey));
}

const inclusionPolicies = ["Honor", "Ignore"];

/** Faults of how a pod wants to be spread. */
export function* validateTopologySpread(constraints: readonly TopologySpreadConstraint[], path: string): Faults {
  for (const [i, constraint] of constraints.entries()) {
    const at = `${path}[${i}]`;
    const { maxSkew, minDomains, topologyKey, whenUnsatisfiable } = constraint;
    yield* validatePositive(maxSkew, `${at}.maxSkew`);
    if (topologyKey === "") yield fault.required(`${at}.topologyKey`, "can not be empty");
    yield* validateOneOf(whenUnsatisfiable, ["DoNotSchedule", "ScheduleAnyway"], `${at}.whenUnsatisfiable`);
    const repeated = constraints
      .slice(i + 1)
      .some((other) => other.topologyKey === topologyKey && other.whenUnsatisfiable === whenUnsatisfiable);
    if (repeated) {
      yield fault.duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${whenUnsatisfiable}}`);
    }
    if (minDomains !== undefined) {
      yield* validatePositive(minDomains, `${at}.minDomains`);
      if (whenUnsatisfiable !== "DoNotSchedule") {
        const text = `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`;
        yield fault.invalid(`${at}.minDomains`, minDomains, text);
      }
    }
    for (const field of ["nodeAffinityPolicy", "nodeTaintsPolicy"] as const) {
      const policy = constraint[field];
      if (policy !== undefined) yield* validateOneOf(policy, inclusionPolicies, `${at}.${field}`);
    }
    yield* validateLabelSelector(constraint.labelSelector, `${at}.labelSelector`);
  }
}

function* validatePositive(value: number, path: string): Faults {
  if (value <= 0) yield fault.invalid(path, value, "must be greater than zero");
}
