import { parseYaml } from "../../kube/index.ts";
import type { UserInfo } from "../handler.ts";
import type { RequestInfo, ResourceInfo } from "../request/request-info.ts";

const levels = ["None", "Metadata", "Request", "RequestResponse"] as const;
const stages = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"] as const;

/** How much of a request is recorded. */
export type AuditLevel = (typeof levels)[number];
/** When an event is recorded. */
export type AuditStage = (typeof stages)[number];

interface GroupResources {
  readonly group?: string;
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
}

interface PolicyRule {
  readonly level: AuditLevel;
  readonly users?: readonly string[];
  readonly userGroups?: readonly string[];
  readonly verbs?: readonly string[];
  readonly resources?: readonly GroupResources[];
  readonly namespaces?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly omitStages?: readonly AuditStage[];
  readonly omitManagedFields?: boolean;
}

/** What is to be recorded of one request. */
export interface AuditDecision {
  readonly level: AuditLevel;
  readonly omitStages: ReadonlySet<AuditStage>;
  readonly omitManagedFields: boolean;
}

/** An audit policy: the first rule that matches a request decides; without one nothing is recorded. */
export interface AuditPolicy {
  decide(user: UserInfo, info: RequestInfo): AuditDecision;
}

/** A policy file that can not be used. The message names the field. */
export class AuditPolicyError extends Error {
  readonly code = "AUDIT_POLICY";

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AuditPolicyError";
  }
}

const nothing: AuditDecision = { level: "None", omitStages: new Set(), omitManagedFields: false };

/** Reads a policy of `audit.k8s.io/v1` as YAML or JSON. Throws AuditPolicyError. */
export async function parseAuditPolicy(text: string): Promise<AuditPolicy> {
  let value: unknown;
  try {
    ({ value } = await parseYaml(Buffer.from(text)));
  } catch (error) {
    throw new AuditPolicyError(`it is no YAML: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const policy = fieldsOf(value, "the policy");
  if (policy["apiVersion"] !== "audit.k8s.io/v1" || policy["kind"] !== "Policy")
    throw new AuditPolicyError("apiVersion and kind must be audit.k8s.io/v1 and Policy");
  const rules = policy["rules"];
  if (!Array.isArray(rules) || rules.length === 0) throw new AuditPolicyError("rules: there must be one at least");
  const common = stagesOf(policy["omitStages"], "omitStages");
  const omitManagedFields = flagOf(policy["omitManagedFields"], "omitManagedFields") ?? false;
  const compiled = rules.map((one, i) => {
    const rule = ruleOf(one, `rules[${i}]`);
    const decision: AuditDecision = {
      level: rule.level,
      omitStages: new Set([...common, ...(rule.omitStages ?? [])]),
      omitManagedFields: rule.omitManagedFields ?? omitManagedFields,
    };
    return { rule, decision };
  });
  return {
    decide: (user, info) => compiled.find(({ rule }) => matches(rule, user, info))?.decision ?? nothing,
  };
}

function matches(rule: PolicyRule, user: UserInfo, info: RequestInfo): boolean {
  const { users = [], userGroups = [], verbs = [], namespaces = [], resources = [], nonResourceURLs = [] } = rule;
  if (users.length > 0 && !users.includes(user.name)) return false;
  if (userGroups.length > 0 && !userGroups.some((one) => user.groups.includes(one))) return false;
  if (verbs.length > 0 && !verbs.includes(info.verb)) return false;
  if (namespaces.length > 0 || resources.length > 0)
    return info.type === "resource" && matchesResource(namespaces, resources, info);
  if (nonResourceURLs.length === 0) return true;
  return (
    info.type === "path" &&
    nonResourceURLs.some((url) => (url.endsWith("*") ? info.path.startsWith(url.slice(0, -1)) : info.path === url))
  );
}

function matchesResource(
  namespaces: readonly string[],
  resources: readonly GroupResources[],
  { namespace, group, resource, subresource, name }: ResourceInfo,
): boolean {
  if (namespaces.length > 0 && !namespaces.includes(namespace)) return false;
  if (resources.length === 0) return true;
  const whole = subresource ? `${resource}/${subresource}` : resource;
  return resources.some((one) => {
    if ((one.group ?? "") !== group) return false;
    const { resources: named = [], resourceNames = [] } = one;
    if (named.length === 0) return true;
    if (resourceNames.length > 0 && !resourceNames.includes(name)) return false;
    return named.some(
      (pattern) =>
        pattern === "*" ||
        pattern === whole ||
        (pattern.startsWith("*/") && subresource !== "" && pattern.slice(2) === subresource) ||
        (pattern.endsWith("/*") && pattern.slice(0, -2) === resource),
    );
  });
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown, where: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new AuditPolicyError(`${where} must hold fields`);
  return value as Fields;
}

const known = new Set([
  "level",
  "users",
  "userGroups",
  "verbs",
  "resources",
  "namespaces",
  "nonResourceURLs",
  "omitStages",
  "omitManagedFields",
]);

function ruleOf(value: unknown, where: string): PolicyRule {
  const fields = fieldsOf(value, where);
  for (const name of Object.keys(fields))
    if (!known.has(name)) throw new AuditPolicyError(`${where}.${name}: there is no such field`);
  const level = levels.find((one) => one === fields["level"]);
  if (!level) throw new AuditPolicyError(`${where}.level: must be one of ${levels.join(", ")}`);
  const resources = listOf(fields["resources"], `${where}.resources`).map((one, i): GroupResources => {
    const entry = fieldsOf(one, `${where}.resources[${i}]`);
    const names = textsOf(entry["resources"], `${where}.resources[${i}].resources`);
    const resourceNames = textsOf(entry["resourceNames"], `${where}.resources[${i}].resourceNames`);
    if (resourceNames.length > 0 && names.length === 0)
      throw new AuditPolicyError(`${where}.resources[${i}].resourceNames: need resources beside them`);
    return { group: typeof entry["group"] === "string" ? entry["group"] : "", resources: names, resourceNames };
  });
  const nonResourceURLs = textsOf(fields["nonResourceURLs"], `${where}.nonResourceURLs`);
  const namespaces = textsOf(fields["namespaces"], `${where}.namespaces`);
  if (nonResourceURLs.length > 0 && (resources.length > 0 || namespaces.length > 0))
    throw new AuditPolicyError(`${where}.nonResourceURLs: a rule is for paths or for resources, not for both`);
  const wrong = nonResourceURLs.find((url) => url !== "*" && (!url.startsWith("/") || /\*./.test(url)));
  if (wrong !== undefined)
    throw new AuditPolicyError(
      `${where}.nonResourceURLs: ${JSON.stringify(wrong)} must begin with a slash and may have a * at its end alone`,
    );
  const omitManagedFields = flagOf(fields["omitManagedFields"], `${where}.omitManagedFields`);
  return {
    level,
    users: textsOf(fields["users"], `${where}.users`),
    userGroups: textsOf(fields["userGroups"], `${where}.userGroups`),
    verbs: textsOf(fields["verbs"], `${where}.verbs`),
    resources,
    namespaces,
    nonResourceURLs,
    omitStages: stagesOf(fields["omitStages"], `${where}.omitStages`),
    ...(omitManagedFields === undefined ? {} : { omitManagedFields }),
  };
}

function listOf(value: unknown, where: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new AuditPolicyError(`${where}: must be a list`);
  return value;
}

function textsOf(value: unknown, where: string): string[] {
  return listOf(value, where).map((one) => {
    if (typeof one !== "string") throw new AuditPolicyError(`${where}: must be a list of texts`);
    return one;
  });
}

function stagesOf(value: unknown, where: string): AuditStage[] {
  return textsOf(value, where).map((text) => {
    const stage = stages.find((one) => one === text);
    if (!stage) throw new AuditPolicyError(`${where}: ${JSON.stringify(text)} is none of ${stages.join(", ")}`);
    return stage;
  });
}

function flagOf(value: unknown, where: string): boolean | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "boolean") throw new AuditPolicyError(`${where}: must be true or false`);
  return value;
}
