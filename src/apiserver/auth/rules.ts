import type { PolicyRule } from "../../kube/index.ts";
import type { FieldEquality } from "../request/request-info.ts";

/** What somebody wants to do, as authorization sees it. */
export type Action =
  | {
      readonly type: "resource";
      readonly verb: string;
      readonly group: string;
      readonly resource: string;
      readonly subresource: string;
      /** "" at the cluster scope and for all namespaces. */
      readonly namespace: string;
      readonly name: string;
      /** Fields that the objects are selected by: what is asked for are those alone. */
      readonly fields?: readonly FieldEquality[];
    }
  | { readonly type: "path"; readonly verb: string; readonly path: string };

/** True when a rule of RBAC allows an action. */
export function ruleAllows(rule: PolicyRule, action: Action): boolean {
  if (!includes(rule.verbs, action.verb)) return false;
  if (action.type === "path") return (rule.nonResourceURLs ?? []).some((pattern) => pathMatches(pattern, action.path));
  const { resource, subresource, name } = action;
  const whole = subresource ? `${resource}/${subresource}` : resource;
  const names = rule.resourceNames ?? [];
  return (
    includes(rule.apiGroups ?? [], action.group) &&
    (rule.resources ?? []).some(
      (wanted) => wanted === "*" || wanted === whole || (subresource !== "" && wanted === `*/${subresource}`),
    ) &&
    (names.length === 0 || names.includes(name))
  );
}

function includes(allowed: readonly string[], value: string): boolean {
  return allowed.includes("*") || allowed.includes(value);
}

function pathMatches(pattern: string, path: string): boolean {
  if (pattern === "*" || pattern === path) return true;
  return pattern.endsWith("*") && path.startsWith(pattern.slice(0, -1));
}

/**
 * The part of `wanted` that `owned` does not allow, one rule for each simple permission (upstream's `validation.Covers`): nobody may give
 * away more than they have.
 */
export function uncovered(owned: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(simpleRules).filter((rule) => !owned.some((owner) => covers(owner, rule)));
}

/** One rule for each verb, group, resource and name in a rule. */
function simpleRules(rule: PolicyRule): PolicyRule[] {
  const names = rule.resourceNames?.length ? rule.resourceNames : [undefined];
  const simple: PolicyRule[] = [];
  for (const verb of rule.verbs) {
    for (const url of rule.nonResourceURLs ?? []) simple.push({ verbs: [verb], nonResourceURLs: [url] });
    for (const group of rule.apiGroups ?? [])
      for (const resource of rule.resources ?? [])
        for (const name of names)
          simple.push({
            verbs: [verb],
            apiGroups: [group],
            resources: [resource],
            ...(name === undefined ? {} : { resourceNames: [name] }),
          });
  }
  return simple;
}

function covers(owner: PolicyRule, simple: PolicyRule): boolean {
  if (!simple.verbs.every((verb) => includes(owner.verbs, verb))) return false;
  const [url] = simple.nonResourceURLs ?? [];
  if (url !== undefined)
    return (owner.nonResourceURLs ?? []).some(
      (pattern) => pattern === url || (pattern.endsWith("*") && url.startsWith(pattern.slice(0, -1))),
    );
  const [resource = ""] = simple.resources ?? [];
  const slash = resource.indexOf("/");
  const names = owner.resourceNames ?? [];
  return (
    (simple.apiGroups ?? []).every((group) => includes(owner.apiGroups ?? [], group)) &&
    (owner.resources ?? []).some(
      (own) => own === "*" || own === resource || (slash >= 0 && own === `*${resource.slice(slash)}`),
    ) &&
    (names.length === 0 || (simple.resourceNames?.every((name) => names.includes(name)) ?? false))
  );
}
