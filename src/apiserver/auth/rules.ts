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
  const missing: PolicyRule[] = [];
  let work = 0;
  for (const rule of wanted) {
    // Most often one rule holds all that another gives away.
    if (owned.some((owner) => covers(owner, rule))) continue;
    for (const simple of simpleRules(rule)) {
      work += owned.length + 1;
      if (!owned.some((owner) => covers(owner, simple))) missing.push(simple);
      if (missing.length >= mostMissing) return missing;
      // What could not be looked at is not held: a rule of a few kilobytes can stand for thousands of millions of permissions.
      if (work > mostWork) return [...missing, rule];
    }
  }
  return missing;
}

/** Permissions that are told to be missing at most. */
const mostMissing = 1000;
/** Comparisons of two rules at most. */
const mostWork = 2_000_000;

/** One rule for each verb, group, resource and name in a rule. */
function* simpleRules(rule: PolicyRule): Generator<PolicyRule> {
  const names = rule.resourceNames?.length ? rule.resourceNames : [undefined];
  for (const verb of rule.verbs) {
    for (const url of rule.nonResourceURLs ?? []) yield { verbs: [verb], nonResourceURLs: [url] };
    for (const group of rule.apiGroups ?? [])
      for (const resource of rule.resources ?? [])
        for (const name of names)
          yield {
            verbs: [verb],
            apiGroups: [group],
            resources: [resource],
            ...(name === undefined ? {} : { resourceNames: [name] }),
          };
  }
}

/** True when one rule allows all that another does. */
function covers(owner: PolicyRule, rule: PolicyRule): boolean {
  const { apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  const names = owner.resourceNames ?? [];
  return (
    rule.verbs.every((verb) => includes(owner.verbs, verb)) &&
    nonResourceURLs.every((url) => (owner.nonResourceURLs ?? []).some((pattern) => urlMatches(pattern, url))) &&
    apiGroups.every((group) => includes(owner.apiGroups ?? [], group)) &&
    resources.every((resource) => (owner.resources ?? []).some((own) => resourceMatches(own, resource))) &&
    (resources.length === 0 ||
      names.length === 0 ||
      (resourceNames.length > 0 && resourceNames.every((name) => names.includes(name))))
  );
}

const urlMatches = (pattern: string, url: string): boolean =>
  pattern === url || (pattern.endsWith("*") && url.startsWith(pattern.slice(0, -1)));

function resourceMatches(own: string, resource: string): boolean {
  const slash = resource.indexOf("/");
  return own === "*" || own === resource || (slash >= 0 && own === `*${resource.slice(slash)}`);
}
