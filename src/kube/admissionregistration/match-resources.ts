import type { MatchResources, NamedRuleWithOperations, ParamKind, ParamRef } from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateOneOf } from "../validation/ports.ts";
import { isDns1035Label, isDns1123Subdomain, isPathSegment } from "../values/names.ts";
import { validateRule } from "./rules.ts";

export const failurePolicies = ["Fail", "Ignore"];

/** Fills in which requests a policy or a binding is about, in place. */
export function defaultMatch(match: MatchResources): void {
  match.matchPolicy ??= "Equivalent";
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  for (const rule of [...(match.resourceRules ?? []), ...(match.excludeResourceRules ?? [])]) rule.scope ??= "*";
}

/** Faults of which requests a policy or a binding is about. */
export function* validateMatch(match: MatchResources, path: string): Faults {
  yield* validateOneOf(match.matchPolicy ?? "", ["Equivalent", "Exact"], `${path}.matchPolicy`);
  yield* validateLabelSelector(match.namespaceSelector, `${path}.namespaceSelector`);
  yield* validateLabelSelector(match.objectSelector, `${path}.objectSelector`);
  for (const field of ["resourceRules", "excludeResourceRules"] as const)
    for (const [i, rule] of (match[field] ?? []).entries()) yield* validateNamedRule(rule, `${path}.${field}[${i}]`);
}

function* validateNamedRule(rule: NamedRuleWithOperations, path: string): Faults {
  const names = rule.resourceNames ?? [];
  for (const [i, name] of names.entries()) {
    yield* invalids(`${path}.resourceNames[${i}]`, name, isPathSegment(name));
    if (names.indexOf(name) < i) yield fault.duplicate(`${path}.resourceNames[${i}]`, name);
  }
  yield* validateRule(rule, path);
}

/** Faults of the kind of objects that parameters are. */
export function* validateParamKind({ apiVersion = "", kind = "" }: ParamKind, path: string): Faults {
  yield* validateGroupVersion(apiVersion, `${path}.apiVersion`);
  if (kind === "") yield fault.required(`${path}.kind`);
  else {
    const messages = isDns1035Label(kind.toLowerCase());
    const text = `may have mixed case, but should otherwise match: ${messages.join(",")}`;
    if (messages.length > 0) yield fault.invalid(`${path}.kind`, kind, text);
  }
}

function* validateGroupVersion(text: string, path: string): Faults {
  if (text === "") {
    yield fault.required(path);
    return;
  }
  const parts = text.split("/");
  if (parts.length > 2) {
    yield fault.invalid(path, text, `unexpected GroupVersion string: ${text}`);
    return;
  }
  const [group = "", version = ""] = text === "/" ? [] : parts.length === 2 ? parts : ["", text];
  const wrong = group === "" ? [] : isDns1123Subdomain(group);
  if (wrong.length > 0) yield fault.invalid(path, group, wrong.join(","));
  if (version === "") yield fault.invalid(path, text, "version must be specified");
  else if (isDns1035Label(version).length > 0) yield fault.invalid(path, version, isDns1035Label(version).join(","));
}

const exclusive = "name and selector are mutually exclusive";

/** Faults of which objects are parameters. */
export function* validateParamRef(given: ParamRef, path: string): Faults {
  const { name = "", selector, parameterNotFoundAction: action = "" } = given;
  if (name !== "") {
    yield* invalids(`${path}.name`, name, isPathSegment(name));
    if (selector) yield fault.forbidden(`${path}.name`, exclusive);
  }
  if (selector) {
    yield* validateLabelSelector(selector, `${path}.selector`);
    if (name !== "") yield fault.forbidden(`${path}.selector`, exclusive);
  }
  if (name === "" && !selector) yield fault.required(path, "one of name or selector must be specified");
  if (action === "") yield fault.required(`${path}.parameterNotFoundAction`);
  else yield* validateOneOf(action, ["Deny", "Allow"], `${path}.parameterNotFoundAction`);
}
