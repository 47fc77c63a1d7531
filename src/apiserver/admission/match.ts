import { matchesLabels, type LabelSelector } from "../../kube/index.ts";

/** A resource as admission rules name it. */
export interface ResourceName {
  readonly group: string;
  readonly version: string;
  /** Plural, without subresource. */
  readonly resource: string;
}

/** Which requests a rule is about (`RuleWithOperations`, and `NamedRuleWithOperations` of policies). */
export interface AdmissionRule {
  readonly operations?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly apiVersions?: readonly string[];
  // Forms: pods, pods/status, pods/*, *, */scale, */*. A star alone matches no subresource.
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  /** `Cluster`, `Namespaced` or `*`; absent is `*`. */
  readonly scope?: string;
}

/** What a webhook or a policy says about the requests that it wants to see. */
export interface AdmissionMatch {
  /** Absent: every resource. An empty list: none. */
  readonly rules?: readonly AdmissionRule[];
  readonly excludeRules?: readonly AdmissionRule[];
  readonly namespaceSelector?: LabelSelector;
  readonly objectSelector?: LabelSelector;
  /** `Exact` or `Equivalent`; absent is `Equivalent`. */
  readonly matchPolicy?: string;
}

type Labels = Readonly<Record<string, string>>;

/** One request, as far as rules look at it. */
export interface AdmissionSubject extends ResourceName {
  readonly operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  /** "" for the object itself. */
  readonly subresource: string;
  /** "" for cluster-scoped objects. For a Namespace, its own name or "". */
  readonly namespace: string;
  readonly name: string;
  /** Labels of the object as it shall be, and as it is; absent when there is none, or it has no metadata. */
  readonly labels?: Labels | undefined;
  readonly oldLabels?: Labels | undefined;
  readonly hasObject: boolean;
  readonly hasOld: boolean;
  /** Labels of the namespace the request is in; undefined when there is no such namespace. Asked only when a selector needs it. */
  namespaceLabels(): Labels | undefined;
  /** Other groups and versions under which the same objects are served; the request's own is not among them. */
  equivalents(): readonly ResourceName[];
}

const registrationGroup = "admissionregistration.k8s.io";
const registrations: ReadonlySet<string> = new Set([
  "validatingwebhookconfigurations",
  "mutatingwebhookconfigurations",
  "validatingadmissionpolicies",
  "validatingadmissionpolicybindings",
  "mutatingadmissionpolicies",
  "mutatingadmissionpolicybindings",
]);

/** The configuration of admission itself: no webhook and no policy sees it, else a wrong one could never be taken away. */
export const isAdmissionConfiguration = ({ group, resource }: ResourceName): boolean =>
  group === registrationGroup && registrations.has(resource);

/**
 * The resource in whose form a webhook or policy wants to see the request: the request's own or, with matchPolicy Equivalent, another
 * version of it. Undefined: it does not want to see it.
 */
export function matchRequest(match: AdmissionMatch, subject: AdmissionSubject): ResourceName | undefined {
  if (isAdmissionConfiguration(subject)) return undefined;
  const found = matchRules(match.rules, subject, match.matchPolicy);
  if (!found || !selectsNamespace(match.namespaceSelector, subject) || !selectsObject(match.objectSelector, subject))
    return undefined;
  if (match.excludeRules?.length && matchRules(match.excludeRules, subject, match.matchPolicy)) return undefined;
  return found;
}

const any = ["*"];
const anyPart = ["*/*"];

function matchRules(
  rules: readonly AdmissionRule[] | undefined,
  subject: AdmissionSubject,
  policy: string | undefined,
): ResourceName | undefined {
  if (!rules) return subject;
  for (const rule of rules) if (meetsRule(rule, subject, subject)) return subject;
  if (policy === "Exact") return undefined;
  // Whether any version could match is cheap to know, and mostly no.
  if (
    !rules.some((rule) =>
      meetsRule({ ...rule, apiGroups: any, apiVersions: any, resources: anyPart }, subject, subject),
    )
  )
    return undefined;
  for (const other of subject.equivalents())
    for (const rule of rules) if (meetsRule(rule, subject, other)) return other;
  return undefined;
}

/** True when the rule is about this request, were its resource `as`. */
function meetsRule(rule: AdmissionRule, subject: AdmissionSubject, as: ResourceName): boolean {
  return (
    includes(rule.operations, subject.operation) &&
    includes(rule.apiGroups, as.group) &&
    includes(rule.apiVersions, as.version) &&
    (rule.resources ?? []).some((pattern) => meetsResource(pattern, as.resource, subject.subresource)) &&
    (!rule.resourceNames?.length || rule.resourceNames.includes(subject.name)) &&
    meetsScope(rule.scope, subject)
  );
}

const includes = (wanted: readonly string[] | undefined, value: string): boolean =>
  wanted !== undefined && (wanted.includes("*") || wanted.includes(value));

function meetsResource(pattern: string, resource: string, subresource: string): boolean {
  const slash = pattern.indexOf("/");
  const [wanted, part] = slash < 0 ? [pattern, ""] : [pattern.slice(0, slash), pattern.slice(slash + 1)];
  return (wanted === "*" || wanted === resource) && (part === "*" || part === subresource);
}

const isNamespace = ({ group, resource }: ResourceName): boolean => group === "" && resource === "namespaces";

function meetsScope(scope: string | undefined, subject: AdmissionSubject): boolean {
  if (scope === undefined || scope === "*") return true;
  const clusterScoped = isNamespace(subject) || subject.namespace === "";
  return (scope === "Cluster") === clusterScoped;
}

/** A cluster-scoped object is in no namespace, and no selector of namespaces keeps it out; a Namespace is looked at itself. */
function selectsNamespace(selector: LabelSelector | undefined, subject: AdmissionSubject): boolean {
  if (isEverything(selector)) return true;
  if (isNamespace(subject)) {
    const labels =
      subject.operation === "CREATE" || subject.operation === "UPDATE" ? subject.labels : subject.oldLabels;
    return matchesLabels(selector, labels ?? subject.namespaceLabels());
  }
  return subject.namespace === "" || matchesLabels(selector, subject.namespaceLabels());
}

/** The object as it was counts too: taking a label away does not escape. */
function selectsObject(selector: LabelSelector | undefined, subject: AdmissionSubject): boolean {
  if (isEverything(selector)) return true;
  return (
    (subject.hasObject && matchesLabels(selector, subject.labels)) ||
    (subject.hasOld && matchesLabels(selector, subject.oldLabels))
  );
}

const isEverything = (selector: LabelSelector | undefined): boolean =>
  !selector || (!selector.matchExpressions?.length && Object.keys(selector.matchLabels ?? {}).length === 0);
