import type { FlowSchema, FlowSubject, NonResourcePolicyRule, ResourcePolicyRule } from "../../kube/index.ts";
import type { UserInfo } from "../handler.ts";
import type { RequestInfo, ResourceInfo } from "../request/request-info.ts";

/** A FlowSchema, ready to be held against requests. */
export interface FlowMatcher {
  readonly schema: FlowSchema;
  /** Whether any request of this user may match. */
  concerns(user: UserInfo): boolean;
  matches(user: UserInfo, info: RequestInfo): boolean;
  /** What tells the flows of the schema apart: the user, the namespace, or nothing. */
  distinguisher(user: UserInfo, info: RequestInfo): string;
}

/** Schemas in the order in which they are asked: by precedence, then by name. The first that matches has the request. */
export function matchersOf(schemas: readonly FlowSchema[]): FlowMatcher[] {
  const precedence = ({ spec }: FlowSchema): number => spec.matchingPrecedence ?? 1000;
  return schemas
    .toSorted(
      (a, b) =>
        precedence(a) - precedence(b) ||
        (a.metadata.name < b.metadata.name ? -1 : a.metadata.name > b.metadata.name ? 1 : 0),
    )
    .map(matcherOf);
}

function matcherOf(schema: FlowSchema): FlowMatcher {
  const rules = (schema.spec.rules ?? []).map(({ subjects, resourceRules = [], nonResourceRules = [] }) => ({
    isSubject: subjectsOf(subjects),
    resourceRules,
    nonResourceRules,
  }));
  const method = schema.spec.distinguisherMethod?.type;
  return {
    schema,
    concerns: (user) => rules.some((rule) => rule.isSubject(user)),
    matches: (user, info) =>
      rules.some(
        (rule) =>
          (info.type === "resource"
            ? rule.resourceRules.some((one) => matchesResource(one, info))
            : rule.nonResourceRules.some((one) => matchesPath(one, info))) && rule.isSubject(user),
      ),
    distinguisher: (user, info) =>
      method === "ByUser" ? user.name : method === "ByNamespace" && info.type === "resource" ? info.namespace : "",
  };
}

const account = "system:serviceaccount:";

function subjectsOf(subjects: readonly FlowSubject[]): (user: UserInfo) => boolean {
  const users = new Set<string>();
  const groups = new Set<string>();
  /** What the names of all accounts of a namespace begin with. */
  const namespaces: string[] = [];
  for (const subject of subjects) {
    if (subject.user) users.add(subject.user.name);
    if (subject.group) groups.add(subject.group.name);
    if (!subject.serviceAccount) continue;
    const { namespace, name } = subject.serviceAccount;
    if (name === "*") namespaces.push(`${account}${namespace}:`);
    else users.add(`${account}${namespace}:${name}`);
  }
  if (users.has("*") || groups.has("*")) return () => true;
  return ({ name, groups: held }) =>
    users.has(name) || held.some((one) => groups.has(one)) || namespaces.some((begin) => name.startsWith(begin));
}

const has = (list: readonly string[], value: string): boolean => list.includes("*") || list.includes(value);

function matchesResource(rule: ResourcePolicyRule, info: ResourceInfo): boolean {
  const resource = info.subresource ? `${info.resource}/${info.subresource}` : info.resource;
  if (!has(rule.verbs, info.verb) || !has(rule.apiGroups, info.group) || !has(rule.resources, resource)) return false;
  return info.namespace === "" ? rule.clusterScope === true : has(rule.namespaces ?? [], info.namespace);
}

function matchesPath(rule: NonResourcePolicyRule, { verb, path }: Extract<RequestInfo, { type: "path" }>): boolean {
  if (!has(rule.verbs, verb)) return false;
  return rule.nonResourceURLs.some(
    (url) => url === "*" || url === path || (url.endsWith("/*") && path.startsWith(url.slice(0, -1))),
  );
}
