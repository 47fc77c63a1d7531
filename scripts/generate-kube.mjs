// Writes src/kube/generated/ from the structure of the Kubernetes API (an OpenAPI v2 document without prose).
// Usage: node scripts/generate-kube.mjs OPENAPI.json GO_MODULE_CACHE/k8s.io
// (the folder holds the modules api, apimachinery, apiextensions-apiserver and kube-aggregator, as `go mod download` puts them)
// The output is committed: nobody needs the input to build.
import { readFileSync, writeFileSync } from "node:fs";
import { readGoStructs } from "./go-structs.mjs";

const [, , input, goModules] = process.argv;
if (!goModules) throw new Error("usage: generate-kube.mjs OPENAPI.json GO_MODULE_CACHE/k8s.io");
const { definitions, paths } = JSON.parse(readFileSync(input, "utf8"));

/** Kinds that Fairlead serves, by group-version; the generated set is these and all they refer to. */
const served = {
  v1: [
    "Namespace",
    "Node",
    "Pod",
    "PodTemplate",
    "ReplicationController",
    "Service",
    "Endpoints",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "Event",
    "Binding",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "LimitRange",
    "ResourceQuota",
    "ComponentStatus",
  ],
  "apps/v1": ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision"],
  "batch/v1": ["Job", "CronJob"],
  "discovery.k8s.io/v1": ["EndpointSlice"],
  "events.k8s.io/v1": ["Event"],
  "coordination.k8s.io/v1": ["Lease"],
  "networking.k8s.io/v1": ["Ingress", "IngressClass", "NetworkPolicy", "ServiceCIDR", "IPAddress"],
  "rbac.authorization.k8s.io/v1": ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"],
  "autoscaling/v1": ["Scale", "HorizontalPodAutoscaler"],
  "autoscaling/v2": ["HorizontalPodAutoscaler"],
  "policy/v1": ["Eviction", "PodDisruptionBudget"],
  "storage.k8s.io/v1": [
    "StorageClass",
    "CSIDriver",
    "CSINode",
    "CSIStorageCapacity",
    "VolumeAttachment",
    "VolumeAttributesClass",
  ],
  "scheduling.k8s.io/v1": ["PriorityClass"],
  "node.k8s.io/v1": ["RuntimeClass"],
  "certificates.k8s.io/v1": ["CertificateSigningRequest"],
  "admissionregistration.k8s.io/v1": [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
  ],
  "apiextensions.k8s.io/v1": ["CustomResourceDefinition"],
  "apiregistration.k8s.io/v1": ["APIService"],
  "flowcontrol.apiserver.k8s.io/v1": ["FlowSchema", "PriorityLevelConfiguration"],
  "resource.k8s.io/v1": ["DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"],
  "authentication.k8s.io/v1": ["TokenReview", "TokenRequest", "SelfSubjectReview"],
  "authorization.k8s.io/v1": [
    "SubjectAccessReview",
    "LocalSubjectAccessReview",
    "SelfSubjectAccessReview",
    "SelfSubjectRulesReview",
  ],
};
const extra = [
  "Status",
  "DeleteOptions",
  "LabelSelector",
  "Condition",
  "WatchEvent",
  "APIResourceList",
  "APIGroupList",
  "APIVersions",
  "ObjectMeta",
  "ListMeta",
].map((n) => `io.k8s.apimachinery.pkg.apis.meta.v1.${n}`);

const gvkOf = (d) => (d["x-kubernetes-group-version-kind"] ?? [])[0];
const roots = new Map();
for (const [name, d] of Object.entries(definitions)) {
  const gvk = gvkOf(d);
  if (!gvk || !d.properties?.kind) continue;
  const gv = gvk.group ? `${gvk.group}/${gvk.version}` : gvk.version;
  if (served[gv]?.includes(gvk.kind)) roots.set(name, gvk);
  if (gvk.kind.endsWith("List") && served[gv]?.includes(gvk.kind.slice(0, -4)) && d.properties.items)
    roots.set(name, gvk);
}

const refName = (ref) => ref.replace("#/definitions/", "");
const needed = new Set();
const visit = (name) => {
  if (needed.has(name)) return;
  needed.add(name);
  const walk = (s) => {
    if (s.$ref) visit(refName(s.$ref));
    if (s.items) walk(s.items);
    if (s.additionalProperties) walk(s.additionalProperties);
    for (const p of Object.values(s.properties ?? {})) walk(p);
  };
  walk(definitions[name]);
};
for (const name of [...roots.keys(), ...extra]) visit(name);

// Names in TypeScript: the last part; where two groups use one name, the later one (by group) is prefixed with its group.
const ownNames = {
  "io.k8s.api.core.v1.ResourceClaim": "ContainerResourceClaim",
  "io.k8s.api.flowcontrol.v1.Subject": "FlowSubject",
};
const isOldAutoscaling = (name) => /^io\.k8s\.api\.autoscaling\.v1\.(HorizontalPod|CrossVersion)/.test(name);
const shortNames = new Map();
const taken = new Map();
for (const name of [...needed].sort()) {
  const parts = name.split(".");
  let short = ownNames[name] ?? (isOldAutoscaling(name) ? `${parts.at(-1)}V1` : parts.at(-1));
  if (taken.has(short)) {
    const group = parts.at(-3);
    short = group[0].toUpperCase() + group.slice(1) + short;
    if (taken.has(short)) throw new Error(`two definitions want the name ${short}`);
  }
  taken.set(short, name);
  shortNames.set(name, short);
}

const scalars = {
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "number | string",
  "io.k8s.apimachinery.pkg.api.resource.Quantity": "string",
  "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "string",
  "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "string",
  "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "Record<string, unknown>",
  "io.k8s.apimachinery.pkg.runtime.RawExtension": "Record<string, unknown>",
};
const typeOf = (s) => {
  if (s.$ref) return scalars[refName(s.$ref)] ? `${shortNames.get(refName(s.$ref))}` : shortNames.get(refName(s.$ref));
  switch (s.type) {
    case "string":
      return "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "array": {
      const item = typeOf(s.items);
      return item.includes("|") ? `(${item})[]` : `${item}[]`;
    }
    case "object":
      return s.additionalProperties ? `Record<string, ${typeOf(s.additionalProperties)}>` : "Record<string, unknown>";
    default:
      return "unknown";
  }
};
const key = (k) => (/^[A-Za-z_$][\w$]*$/.test(k) ? k : JSON.stringify(k));

const out = ["// Generated by scripts/generate-kube.mjs. Do not edit.", ""];
for (const name of [...needed].sort()) {
  const d = definitions[name];
  const short = shortNames.get(name);
  if (scalars[name]) {
    out.push(`export type ${short} = ${scalars[name]};`, "");
    continue;
  }
  if (!d.properties) {
    out.push(`export type ${short} = ${typeOf(d)};`, "");
    continue;
  }
  const gvk = roots.get(name);
  const required = new Set(d.required ?? []);
  out.push(`export interface ${short} {`);
  for (const [p, s] of Object.entries(d.properties)) {
    const isRoot = gvk && !gvk.kind.endsWith("List");
    let type = typeOf(s);
    let must = required.has(p);
    if (gvk && (p === "apiVersion" || p === "kind")) must = true;
    if (gvk && p === "metadata") {
      must = true;
      if (isRoot) type = "Metadata";
    }
    if (isRoot && p === "spec") must = true;
    out.push(`  ${key(p)}${must ? "" : "?"}: ${type};`);
  }
  out.push("}", "");
}
out.push(
  "/** Metadata of an object that exists: the server has named it. */",
  "export type Metadata = ObjectMeta & { name: string };",
  "",
);
writeFileSync(new URL("../src/kube/generated/types.ts", import.meta.url), out.join("\n"));

// Definitions: the same structure as data, for validation, pruning, patches and OpenAPI.
const defs = {};
for (const name of [...needed].sort()) defs[name] = definitions[name];
const lines = Object.entries(defs).map(([name, definition]) => `${name} ${JSON.stringify(definition)}`);
/** A literal in single quotes: so much JSON in double quotes would be all backslashes. */
const text = (all) => {
  const joined = all.join("\n");
  if (/['\\]/.test(joined)) throw new Error("a definition needs escapes");
  return `'${joined.replaceAll("\n", "\\n")}'`;
};
const kinds = [...roots]
  .map(([definition, gvk]) => ({ ...gvk, definition }))
  .sort((a, b) => (a.definition < b.definition ? -1 : 1));
writeFileSync(
  new URL("../src/kube/generated/definitions.ts", import.meta.url),
  `// Generated by scripts/generate-kube.mjs. Do not edit.

/** Each a name, a space and the definition as JSON: parsed when it is first asked for. */
export const definitionLines = ${text(lines)}.split("\\n");

/** OpenAPI name of the definition behind each group, version and kind. */
export const definedKinds = JSON.parse(${JSON.stringify(JSON.stringify(kinds))}) as readonly {
  group: string;
  version: string;
  kind: string;
  definition: string;
}[];
`,
);
void paths;

// Zero values: which fields Go leaves out when they hold the zero of their type, and which it writes even then.
const structs = readGoStructs(goModules);
const zeros = {
  string: "",
  integer: 0,
  number: 0,
  boolean: false,
  array: [],
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": 0,
  "io.k8s.apimachinery.pkg.api.resource.Quantity": "0",
  "io.k8s.apimachinery.pkg.apis.meta.v1.Time": null,
  "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": null,
  "io.k8s.apimachinery.pkg.runtime.RawExtension": null,
};
const zeroValues = {};
for (const name of [...needed].sort()) {
  const { properties } = definitions[name];
  const fields = structs.get(name);
  if (!properties || !fields) continue;
  const omitted = [];
  const filled = {};
  for (const [field, schema] of Object.entries(properties)) {
    // The fields of TypeMeta, which is of another package than most.
    const isTypeMeta = field === "apiVersion" || field === "kind";
    const rule = fields.get(field) ?? (isTypeMeta ? { omitEmpty: true } : undefined);
    if (!rule) throw new Error(`${name}.${field}: no such field in Go`);
    const isHeader = roots.has(name) && ["apiVersion", "kind"].includes(field);
    if (rule.pointer || rule.omitZero || isHeader) continue;
    const target = schema.$ref ? refName(schema.$ref) : schema.type;
    if (schema.$ref && definitions[target].properties) {
      filled[field] = {};
      continue;
    }
    if (schema.$ref && !(target in zeros)) {
      if (!rule.omitEmpty) throw new Error(`${name}.${field}: what is the zero of ${target}?`);
      continue;
    }
    const isBytes = schema.format === "byte";
    if (schema.$ref || !rule.omitEmpty) filled[field] = isBytes ? null : target in zeros ? zeros[target] : {};
    else if (["string", "integer", "number", "boolean"].includes(target)) omitted.push(field);
  }
  zeroValues[name] = { ...(omitted.length ? { omitted } : {}), ...(Object.keys(filled).length ? { filled } : {}) };
}
writeFileSync(
  new URL("../src/kube/generated/zero-values.ts", import.meta.url),
  `// Generated by scripts/generate-kube.mjs. Do not edit.

/** By OpenAPI name: scalars that are left out when they are zero, and fields that are there even when nothing is in them. */
export const zeroValues = JSON.parse(${JSON.stringify(JSON.stringify(zeroValues))}) as Readonly<
  Record<string, { readonly omitted?: readonly string[]; readonly filled?: Readonly<Record<string, unknown>> }>
>;
`,
);
console.log(`${needed.size} definitions, ${roots.size} root kinds`);
