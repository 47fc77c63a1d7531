import type {
  EnvFromSource,
  EnvVar,
  EnvVarSource,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
import { own } from "../values/equal.ts";
import { isConfigKey, isDns1123Subdomain, isEnvironmentName, isQualifiedName } from "../values/names.ts";
import { compareQuantities } from "../values/quantity.ts";

/** Fields of a pod that an environment variable may take its value from. */
const environmentFields = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
];
/** All fields of a pod that have a name in the downward API. */
const podFields = [
  ...environmentFields,
  "metadata.labels",
  "metadata.annotations",
  "spec.restartPolicy",
  "status.phase",
];
const resourceNames = [
  "limits.cpu",
  "limits.ephemeral-storage",
  "limits.memory",
  "requests.cpu",
  "requests.ephemeral-storage",
  "requests.memory",
];
const tooMany = "may not have more than one field specified at a time";

export function* validateEnvironment(variables: readonly EnvVar[], path: string): Faults {
  for (const [i, { name, value = "", valueFrom }] of variables.entries()) {
    if (name === "") yield fault.required(`${path}[${i}].name`);
    else yield* invalids(`${path}[${i}].name`, name, isEnvironmentName(name));
    if (valueFrom) yield* validateSource(valueFrom, value, `${path}[${i}].valueFrom`);
  }
}

function* validateSource(source: EnvVarSource, value: string, path: string): Faults {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = source;
  if (fieldRef) yield* validateFieldRef(fieldRef, environmentFields, `${path}.fieldRef`);
  if (resourceFieldRef) yield* validateResourceFieldRef(resourceFieldRef, `${path}.resourceFieldRef`);
  for (const [field, reference] of Object.entries({ configMapKeyRef, secretKeyRef })) {
    if (!reference) continue;
    const { name = "", key } = reference;
    yield* invalids(`${path}.${field}.name`, name, isDns1123Subdomain(name));
    if (key === "") yield fault.required(`${path}.${field}.key`);
    else yield* invalids(`${path}.${field}.key`, key, isConfigKey(key));
  }
  const count = Object.keys(source).length;
  if (count === 0) {
    const text =
      "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
    yield fault.invalid(path, "", text);
  } else if (value !== "") yield fault.invalid(path, "", "may not be specified when `value` is not empty");
  else if (count > 1) yield fault.invalid(path, "", tooMany);
}

/** A reference to a field of the pod itself (the downward API). */
export function* validateFieldRef(reference: ObjectFieldSelector, supported: readonly string[], path: string): Faults {
  const { apiVersion, fieldPath } = reference;
  if (!apiVersion) yield fault.required(`${path}.apiVersion`);
  else if (fieldPath === "") yield fault.required(`${path}.fieldPath`);
  else {
    const keyed = /^metadata\.(labels|annotations)\['(.*)'\]$/s.exec(fieldPath);
    const key = keyed?.[2] ?? "";
    if (keyed) yield* invalids(path, key, isQualifiedName(keyed[1] === "annotations" ? key.toLowerCase() : key));
    else if (!podFields.includes(fieldPath)) {
      const text = `error converting fieldPath: field label not supported: ${fieldPath}`;
      yield fault.invalid(`${path}.fieldPath`, fieldPath, text);
    } else yield* validateOneOf(fieldPath, supported, `${path}.fieldPath`);
  }
}

const byteDivisors = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
/** What the amount of a resource may be divided by, and what the resource is called in a message. */
const divisors: Record<string, { allowed: readonly string[]; shown: string; name: string }> = {
  cpu: { allowed: ["1m", "1"], shown: "1m and 1", name: "cpu" },
  memory: { allowed: byteDivisors, shown: byteDivisors.join(", "), name: "memory" },
  "ephemeral-storage": { allowed: byteDivisors, shown: byteDivisors.join(", "), name: "local ephemeral storage" },
};

/** A reference to an amount that a container asks for or may use. */
export function* validateResourceFieldRef(reference: ResourceFieldSelector, path: string): Faults {
  const { resource, divisor = "0" } = reference;
  const isHugePages = /^(limits|requests)\.hugepages-/.test(resource);
  if (resource === "") yield fault.required(`${path}.resource`);
  else if (!isHugePages) yield* validateOneOf(resource, resourceNames, `${path}.resource`);
  const rule = own(divisors, resource.slice(resource.indexOf(".") + 1));
  if (!rule || compareQuantities(divisor, "0") === 0) return;
  if (rule.allowed.some((amount) => compareQuantities(amount, divisor) === 0)) return;
  const text = `only divisor's values ${rule.shown} are supported with the ${rule.name} resource`;
  yield fault.invalid(`${path}.divisor`, resource, text);
}

export function* validateEnvironmentSources(sources: readonly EnvFromSource[], path: string): Faults {
  for (const [i, { prefix = "", configMapRef, secretRef }] of sources.entries()) {
    const at = `${path}[${i}]`;
    if (prefix !== "") yield* invalids(`${at}.prefix`, prefix, isEnvironmentName(prefix));
    for (const [field, reference] of Object.entries({ configMapRef, secretRef })) {
      if (!reference) continue;
      if (!reference.name) yield fault.required(`${at}.${field}.name`);
      else yield* invalids(`${at}.${field}.name`, reference.name, isDns1123Subdomain(reference.name));
    }
    // Upstream names the list here, not its item.
    if (!configMapRef && !secretRef) {
      yield fault.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`");
    } else if (configMapRef && secretRef) yield fault.invalid(path, "", tooMany);
  }
}
