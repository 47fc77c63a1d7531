import { createStrategy } from "../base-strategy.ts";
import type {
  FlowSchemaSpec,
  FlowSubject,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  ResourcePolicyRule,
} from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { semanticEqual } from "../values/equal.ts";
import { isDns1123Label, isDns1123Subdomain } from "../values/names.ts";
import { validateLevelConditions } from "./conditions.ts";
import { mandatoryFlowSchemas } from "./mandatory.ts";

const highestPrecedence = 10_000;
const methods = ["ByNamespace", "ByUser"];
const subjectKinds = ["Group", "ServiceAccount", "User"];
const supportedVerbs = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

/** Which requests belong together, and to which priority level (KEP-1040). */
export const flowSchemaStrategy = createStrategy(resources.FlowSchema, {
  generationOf: (schema) => schema.spec,
  statusKeeps: "metadata",
  defaults({ spec }) {
    spec.matchingPrecedence ||= 1000;
  },
  *validate({ metadata, spec, status }) {
    const { name } = metadata;
    yield* validateSpec(name, spec);
    if (Object.hasOwn(mandatoryFlowSchemas, name)) {
      const fixed = mandatoryFlowSchemas[name as keyof typeof mandatoryFlowSchemas];
      if (!semanticEqual(spec, fixed))
        yield fault.invalid("spec", spec, `spec of '${name}' must equal the fixed value`);
    }
    yield* validateLevelConditions(status?.conditions ?? []);
  },
  validateStatus: ({ status }) => validateLevelConditions(status?.conditions ?? []),
});

function* validateSpec(name: string, spec: FlowSchemaSpec): Faults {
  const { matchingPrecedence: precedence = 0, distinguisherMethod: method, priorityLevelConfiguration: level } = spec;
  const path = "spec.matchingPrecedence";
  if (precedence <= 0) yield fault.invalid(path, precedence, "must be a positive value");
  if (precedence > highestPrecedence)
    yield fault.invalid(path, precedence, `must not be greater than ${highestPrecedence}`);
  if (precedence === 1 && name !== "exempt")
    yield fault.invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
  // Upstream shows the whole method, under its internal name.
  if (method && !methods.includes(method.type))
    yield fault.notSupported("spec.distinguisherMethod.type", { Type: method.type }, methods);
  const at = "spec.priorityLevelConfiguration.name";
  if (level.name === "") yield fault.required(at, "must reference a priority level");
  else yield* invalids(at, level.name, isDns1123Subdomain(level.name));
  for (const [i, rule] of (spec.rules ?? []).entries()) yield* validateRule(rule, `spec.rules[${i}]`);
}

function* validateRule(
  { subjects, resourceRules = [], nonResourceRules = [] }: PolicyRulesWithSubjects,
  path: string,
): Faults {
  if (subjects.length === 0) yield fault.required(`${path}.subjects`, "subjects must contain at least one value");
  for (const [i, subject] of subjects.entries()) yield* validateSubject(subject, `${path}.subjects[${i}]`);
  if (resourceRules.length === 0 && nonResourceRules.length === 0)
    yield fault.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
  for (const [i, rule] of resourceRules.entries()) yield* validateResources(rule, `${path}.resourceRules[${i}]`);
  for (const [i, rule] of nonResourceRules.entries()) yield* validatePaths(rule, `${path}.nonResourceRules[${i}]`);
}

const subjectFields = { serviceAccount: "ServiceAccount", user: "User", group: "Group" } as const;

function* validateSubject(subject: FlowSubject, path: string): Faults {
  const { kind } = subject;
  if (!subjectKinds.includes(kind)) {
    yield fault.notSupported(`${path}.kind`, kind, subjectKinds);
    return;
  }
  const fields = Object.entries(subjectFields) as [keyof typeof subjectFields, string][];
  for (const [field, wanted] of fields) {
    if (wanted !== kind) continue;
    if (!subject[field])
      yield fault.required(`${path}.${field}`, `${field} is required when subject kind is '${kind}'`);
    else if (subject[field].name === "") yield fault.required(`${path}.${field}.name`);
  }
  const { serviceAccount } = subject;
  if (kind === "ServiceAccount" && serviceAccount) {
    const { name, namespace } = serviceAccount;
    if (name !== "" && name !== "*") yield* invalids(`${path}.serviceAccount.name`, name, isDns1123Subdomain(name));
    if (namespace === "")
      yield fault.required(`${path}.serviceAccount.namespace`, "must specify namespace for service account");
    else yield* invalids(`${path}.serviceAccount.namespace`, namespace, isDns1123Label(namespace));
  }
  for (const [field, wanted] of fields) {
    if (wanted !== kind && subject[field])
      yield fault.forbidden(`${path}.${field}`, `${field} is forbidden when subject kind is not '${wanted}'`);
  }
}

function* validateVerbs(verbs: readonly string[], path: string): Faults {
  if (verbs.length === 0) yield fault.required(`${path}.verbs`, "verbs must contain at least one value");
  else if (verbs.includes("*")) yield* validateAlone(verbs, `${path}.verbs`, "verbs");
  else if (!verbs.every((verb) => supportedVerbs.includes(verb)))
    yield fault.notSupported(`${path}.verbs`, verbs, supportedVerbs);
}

/** A star has no company. */
function* validateAlone(values: readonly string[], path: string, others: string): Faults {
  if (values.length > 1 && values.includes("*"))
    yield fault.invalid(path, values, `if '*' is present, must not specify other ${others}`);
}

function* validateResources(rule: ResourcePolicyRule, path: string): Faults {
  const { verbs, apiGroups, resources: names, namespaces = [], clusterScope = false } = rule;
  yield* validateVerbs(verbs, path);
  if (apiGroups.length === 0)
    yield fault.required(`${path}.apiGroups`, "resource rules must supply at least one api group");
  yield* validateAlone(apiGroups, `${path}.apiGroups`, "api groups");
  if (names.length === 0) yield fault.required(`${path}.resources`, "resource rules must supply at least one resource");
  yield* validateAlone(names, `${path}.resources`, "resources");
  if (namespaces.length === 0 && !clusterScope) {
    const text = "resource rules that are not cluster scoped must supply at least one namespace";
    yield fault.required(`${path}.namespaces`, text);
  } else if (namespaces.includes("*")) yield* validateAlone(namespaces, `${path}.namespaces`, "namespaces");
  else {
    for (const [i, namespace] of namespaces.entries())
      for (const message of isDns1123Label(namespace)) {
        const text = `each member of this list must be '*' or a DNS-1123 label; ${message}`;
        yield fault.invalid(`${path}.namespaces[${i}]`, namespace, text);
      }
  }
}

function* validatePaths({ verbs, nonResourceURLs: urls }: NonResourcePolicyRule, path: string): Faults {
  yield* validateVerbs(verbs, path);
  const at = `${path}.nonResourceURLs`;
  if (urls.length === 0) yield fault.required(at, "nonResourceURLs must contain at least one value");
  else if (urls.includes("*")) yield* validateAlone(urls, at, "non-resource URLs");
  else {
    for (const [i, url] of urls.entries()) {
      const text = pathFault(url);
      if (text) yield fault.invalid(`${at}[${i}]`, url, text);
    }
  }
}

function pathFault(path: string): string | undefined {
  if (path === "") return "must not be empty";
  if (path === "/") return undefined;
  if (!path.startsWith("/")) return "must start with slash";
  if (path.includes(" ")) return "must not contain white-space";
  if (path.includes("//")) return "must not contain double slash";
  const star = path.indexOf("*");
  return star >= 0 && !(star === path.length - 1 && path.endsWith("/*"))
    ? "wildcard can only do suffix matching"
    : undefined;
}
