import { createStrategy } from "../base-strategy.ts";
import type { ResourceQuotaSpec, ScopedResourceSelectorRequirement } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { isQualifiedName } from "../values/names.ts";
import { compareQuantities, parseQuantity } from "../values/quantity.ts";

type Amounts = Readonly<Record<string, string>> | undefined;

const whole = 1_000_000_000n;
const counted =
  /^(pods|resourcequotas|services|replicationcontrollers|secrets|configmaps|persistentvolumeclaims|services\.nodeports|services\.loadbalancers)$/;
const computed =
  /^(?:(?:requests\.|limits\.)?(cpu|memory|ephemeral-storage)|requests\.storage|(?:requests\.)?hugepages-.+|pods)$/;
const standard =
  /^(?:(?:requests\.|limits\.)?(cpu|memory|ephemeral-storage)|requests\.storage|(?:requests\.)?hugepages-.+)$/;
/** Known, but not to quotas. */
const otherStandard = /^storage$/;
const standardScopes = [
  "Terminating",
  "NotTerminating",
  "BestEffort",
  "NotBestEffort",
  "PriorityClass",
  "CrossNamespacePodAffinity",
  "VolumeAttributesClass",
];
const conflicts = [
  ["BestEffort", "NotBestEffort"],
  ["Terminating", "NotTerminating"],
] as const;

export const resourceQuotaStrategy = createStrategy(resources.ResourceQuota, {
  *validate({ spec }, _context, old) {
    yield* validateAmounts(spec?.hard, "spec.hard");
    yield* validateScopes(spec ?? {});
    if (!old) return;
    const names = (of: ResourceQuotaSpec | undefined): string => [...new Set(of?.scopes)].sort().join(" ");
    if (names(spec) !== names(old.spec)) yield fault.invalid("spec.scopes", spec?.scopes ?? null, "field is immutable");
  },
  *validateStatus({ status }) {
    yield* validateAmounts(status?.hard, "status.hard");
    yield* validateAmounts(status?.used, "status.used");
  },
});

function* notStandard(path: string, name: string): Faults {
  if (!otherStandard.test(name)) yield fault.invalid(path, name, "must be a standard resource type or fully qualified");
  yield fault.invalid(path, name, "must be a standard resource for quota");
}

function* validateAmounts(amounts: Amounts, path: string): Faults {
  for (const [name, amount] of Object.entries(amounts ?? {})) {
    const at = `${path}[${name}]`;
    const messages = isQualifiedName(name);
    yield* invalids(at, name, messages);
    if (messages.length === 0 && !name.includes("/") && !counted.test(name) && !standard.test(name))
      yield* notStandard(at, name);
    if (compareQuantities(amount, "0") < 0) yield fault.invalid(at, amount, "must be greater than or equal to 0");
    if (counted.test(name) && parseQuantity(amount).nano % whole !== 0n)
      yield fault.invalid(at, amount, "must be an integer");
  }
}

/** Whether a scope says anything about a resource. */
function fits(scope: string, resource: string): boolean {
  switch (scope) {
    case "BestEffort":
      return resource === "pods";
    case "VolumeAttributesClass":
      return resource === "persistentvolumeclaims" || resource === "requests.storage";
    default:
      return computed.test(resource);
  }
}

function* validateScopes(spec: ResourceQuotaSpec): Faults {
  const { scopes = [], scopeSelector, hard = {} } = spec;
  const path = "spec.scopes";
  const resourcesOf = Object.keys(hard).filter((name) => counted.test(name) || standard.test(name));
  for (const scope of scopes) {
    if (!standardScopes.includes(scope)) yield fault.invalid(path, scopes, "unsupported scope");
    if (resourcesOf.some((name) => !fits(scope, name)))
      yield fault.invalid(path, scopes, "unsupported scope applied to resource");
  }
  for (const [one, other] of conflicts)
    if (scopes.includes(one) && scopes.includes(other)) yield fault.invalid(path, scopes, "conflicting scopes");
  const expressions = scopeSelector?.matchExpressions ?? [];
  const at = "spec.scopeSelector.matchExpressions";
  for (const expression of expressions) {
    const { scopeName: scope } = expression;
    if (!standardScopes.includes(scope)) yield fault.invalid(`${at}.scopeName`, scope, "unsupported scope");
    if (resourcesOf.some((name) => !fits(scope, name)))
      yield fault.invalid(at, scopeSelector, "unsupported scope applied to resource");
    yield* validateOperator(expression, at);
  }
  const named = expressions.map(({ scopeName }) => scopeName);
  for (const [one, other] of conflicts)
    if (named.includes(one) && named.includes(other))
      yield fault.invalid(at, spec.scopes ?? null, "conflicting scopes");
}

function* validateOperator(
  { scopeName, operator, values = [] }: ScopedResourceSelectorRequirement,
  path: string,
): Faults {
  const onlyExists = standardScopes.filter((scope) => scope !== "PriorityClass" && scope !== "VolumeAttributesClass");
  if (onlyExists.includes(scopeName) && operator !== "Exists") {
    const text =
      "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
    yield fault.invalid(`${path}.operator`, operator, text);
  }
  if (operator === "In" || operator === "NotIn") {
    const text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
    if (values.length === 0) yield fault.required(`${path}.values`, text);
  } else if (operator === "Exists" || operator === "DoesNotExist") {
    const text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
    if (values.length > 0) yield fault.invalid(`${path}.values`, values, text);
  } else yield fault.invalid(`${path}.operator`, operator, "not a valid selector operator");
}
