import type { NamedRuleWithOperations, RuleWithOperations } from "../generated/types.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";

const operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

/** Faults of which requests a webhook or policy wants to see. */
export function* validateRule(rule: RuleWithOperations | NamedRuleWithOperations, path: string): Faults {
  const { operations: verbs = [], apiGroups = [], apiVersions = [], resources = [], scope } = rule;
  if (verbs.length === 0) yield fault.required(`${path}.operations`);
  if (verbs.length > 1 && verbs.includes("*"))
    yield fault.invalid(`${path}.operations`, verbs, "if '*' is present, must not specify other operations");
  for (const [i, verb] of verbs.entries()) yield* validateOneOf(verb, operations, `${path}.operations[${i}]`);
  if (apiGroups.length === 0) yield fault.required(`${path}.apiGroups`);
  if (apiGroups.length > 1 && apiGroups.includes("*"))
    yield fault.invalid(`${path}.apiGroups`, apiGroups, "if '*' is present, must not specify other API groups");
  if (apiVersions.length === 0) yield fault.required(`${path}.apiVersions`);
  if (apiVersions.length > 1 && apiVersions.includes("*"))
    yield fault.invalid(`${path}.apiVersions`, apiVersions, "if '*' is present, must not specify other API versions");
  for (const [i, version] of apiVersions.entries())
    if (version === "") yield fault.required(`${path}.apiVersions[${i}]`);
  yield* validateResourceNames(resources, `${path}.resources`);
  if (scope !== undefined) yield* validateOneOf(scope, ["*", "Cluster", "Namespaced"], `${path}.scope`);
}

function* validateResourceNames(resources: readonly string[], path: string): Faults {
  if (resources.length === 0) yield fault.required(path);
  const allParts = new Set<string>();
  const everyResource = new Set<string>();
  for (const [i, name] of resources.entries()) {
    const at = `${path}[${i}]`;
    if (name === "") yield fault.required(at);
    const [resource = "", ...rest] = name.split("/");
    if (rest.length === 0) continue;
    const part = rest.join("/");
    if (allParts.has(resource))
      yield fault.invalid(at, name, `if '${resource}/*' is present, must not specify ${name}`);
    if (everyResource.has(part)) yield fault.invalid(at, name, `if '*/${part}' is present, must not specify ${name}`);
    if (part === "*") allParts.add(resource);
    if (resource === "*") everyResource.add(part);
  }
  if (resources.length > 1 && resources.includes("*/*"))
    yield fault.invalid(path, resources, "if '*/*' is present, must not specify other resources");
  // Upstream looks only at the last name without a subresource.
  const last = resources.findLast((name) => name !== "" && !name.includes("/"));
  if (resources.includes("*") && last !== undefined && last !== "*") {
    const text = "if '*' is present, must not specify other resources without subresources";
    yield fault.invalid(path, resources, text);
  }
}
