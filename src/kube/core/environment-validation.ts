import type {
  EnvFromSource,
  EnvVar,
  EnvVarSource,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
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
const resourceNames = [
  "limits.cpu",
  "limits.ephemeral-storage",
  "limits.memory",
  "requests.cpu",
  "requests.ephemeral-storage",
  "requests.memory",
];

export function* validateEnvironment(variables: readonly EnvVar[], path: string): Faults {
  for (const [i, { name = "", value = "", valueFrom }] of variables.entries()) {
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
    if (!reference.name) yield fault.required(`${path}.${field}.name`);
    if (!reference.key) yield fault.required(`${path}.${field}.key`);
    else yield* invalids(`${path}.${field}.key`, reference.key, isConfigKey(reference.key));
  }
  const count = Object.keys(source).length;
  if (count === 0) {
    const text =
      "must specify one of: `configMapKeyRef`, `fieldRef`, `fileKeyRef`, `resourceFieldRef` or `secretKeyRef`";
    yield fault.invalid(path, "", text);
  } else if (value !== "") yield fault.invalid(path, "", "may not be specified when `value` is not empty");
  if (count > 1) yield fault.invalid(path, "", "may not have more than one field specified at a time");
}

/** A reference to a field of the pod itself (the downward API). */
export function* validateFieldRef(reference: ObjectFieldSelector, supported: readonly string[], path: string): Faults {
  const { apiVersion = "", fieldPath = "" } = reference;
  if (apiVersion === "") yield fault.required(`${path}.apiVersion`);
  if (fieldPath === "") {
    yield fault.required(`${path}.fieldPath`);
    return;
  }
  const keyed = /^metadata\.(labels|annotations)\['(.*)'\]$/s.exec(fieldPath);
  if (keyed) {
    const key = keyed[2] ?? "";
    yield* invalids(path, key, isQualifiedName(keyed[1] === "annotations" ? key.toLowerCase() : key));
    return;
  }
  if (supported.includes(fieldPath)) return;
  const known = [...environmentFields, "metadata.labels", "metadata.annotations"].includes(fieldPath);
  if (known) yield fault.notSupported(`${path}.fieldPath`, fieldPath, supported);
  else {
    const text = `error converting fieldPath: field label not supported: ${fieldPath}`;
    yield fault.invalid(`${path}.fieldPath`, fieldPath, text);
  }
}

export function* validateResourceFieldRef(reference: ResourceFieldSelector, path: string): Faults {
  const { resource = "", divisor = "0" } = reference;
  if (resource === "") yield fault.required(`${path}.resource`);
  else if (!/^(limits|requests)\.hugepages-/.test(resource))
    yield* validateOneOf(resource, resourceNames, `${path}.resource`);
  const allowed = resource.endsWith(".cpu") ? ["1m", "1"] : /(memory|storage)$/.test(resource) ? byteDivisors : [];
  if (allowed.length === 0 || compareQuantities(divisor, "0") === 0) return;
  if (allowed.some((amount) => compareQuantities(amount, divisor) === 0)) return;
  const shown = resource.endsWith(".cpu")
    ? "only divisor's values 1m and 1 are supported with the cpu resource"
    : `only divisor's values ${byteDivisors.join(", ")} are supported with the ${resource.split(".")[1]} resource`;
  yield fault.invalid(`${path}.divisor`, resource, shown);
}

const byteDivisors = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

export function* validateEnvironmentSources(sources: readonly EnvFromSource[], path: string): Faults {
  for (const [i, { prefix = "", configMapRef, secretRef }] of sources.entries()) {
    const at = `${path}[${i}]`;
    if (prefix !== "") yield* invalids(`${at}.prefix`, prefix, isEnvironmentName(prefix));
    for (const [field, reference] of Object.entries({ configMapRef, secretRef })) {
      if (!reference) continue;
      if (!reference.name) yield fault.required(`${at}.${field}.name`);
      else yield* invalids(`${at}.${field}.name`, reference.name, isDns1123Subdomain(reference.name));
    }
    if (!configMapRef && !secretRef) {
      yield fault.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`");
    } else if (configMapRef && secretRef) {
      yield fault.invalid(at, "", "may not have more than one field specified at a time");
    }
  }
}
