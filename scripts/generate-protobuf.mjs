// Writes src/apiserver/protobuf/generated/messages.ts: the protobuf messages of the kinds that clients send and are sent.
// Usage: node scripts/generate-protobuf.mjs OPENAPI.json PROTOBUF.json GO_MODULE_CACHE/k8s.io
// (the Kubernetes OpenAPI v2 document, its protobuf messages as a protobufjs descriptor, and the Go modules of the API as for
// generate-kube.mjs). The output is committed.
import { readFileSync, writeFileSync } from "node:fs";
import { readGoStructs } from "./go-structs.mjs";

const [, , openApiFile, protobufFile, goModules] = process.argv;
if (!goModules) throw new Error("usage: generate-protobuf.mjs OPENAPI.json PROTOBUF.json GO_MODULE_CACHE/k8s.io");
const { definitions } = JSON.parse(readFileSync(openApiFile, "utf8"));
const descriptor = JSON.parse(readFileSync(protobufFile, "utf8"));

/** Kinds of requests and answers, by group and version. */
const kinds = {
  v1: `Namespace Node Pod PodTemplate ReplicationController Service Endpoints ConfigMap Secret ServiceAccount Event Binding
    PersistentVolume PersistentVolumeClaim LimitRange ResourceQuota ComponentStatus`,
  "apps/v1": "Deployment ReplicaSet StatefulSet DaemonSet ControllerRevision",
  "batch/v1": "Job CronJob",
  "autoscaling/v1": "Scale HorizontalPodAutoscaler",
  "autoscaling/v2": "HorizontalPodAutoscaler",
  "policy/v1": "Eviction PodDisruptionBudget",
  "discovery.k8s.io/v1": "EndpointSlice",
  "events.k8s.io/v1": "Event",
  "coordination.k8s.io/v1": "Lease",
  "networking.k8s.io/v1": "Ingress IngressClass NetworkPolicy ServiceCIDR IPAddress",
  "rbac.authorization.k8s.io/v1": "Role RoleBinding ClusterRole ClusterRoleBinding",
  "storage.k8s.io/v1": "StorageClass CSIDriver CSINode CSIStorageCapacity VolumeAttachment VolumeAttributesClass",
  "scheduling.k8s.io/v1": "PriorityClass",
  "node.k8s.io/v1": "RuntimeClass",
  "certificates.k8s.io/v1": "CertificateSigningRequest",
  "admissionregistration.k8s.io/v1": `MutatingWebhookConfiguration ValidatingWebhookConfiguration ValidatingAdmissionPolicy
    ValidatingAdmissionPolicyBinding MutatingAdmissionPolicy MutatingAdmissionPolicyBinding`,
  "apiextensions.k8s.io/v1": "CustomResourceDefinition",
  "apiregistration.k8s.io/v1": "APIService",
  "flowcontrol.apiserver.k8s.io/v1": "FlowSchema PriorityLevelConfiguration",
  "resource.k8s.io/v1": "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice",
  "authentication.k8s.io/v1": "TokenReview TokenRequest SelfSubjectReview",
  "authorization.k8s.io/v1":
    "SubjectAccessReview LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview",
};

const structs = readGoStructs(goModules);

const prefix = "k8s.io.";
const find = (name) => name.split(".").reduce((node, part) => node?.nested?.[part], descriptor);

/** `k8s.io.api.core.v1.Pod` is `io.k8s.api.core.v1.Pod` in OpenAPI, where parts of names are joined by `-`. */
const openApiName = (message) => `io.k8s.${message.slice(prefix.length).replace(/^(apiextensions|kube)_/, "$1-")}`;
const messageName = (definition) =>
  prefix + definition.slice("io.k8s.".length).replace(/^(apiextensions|kube)-/, "$1_");

function resolve(scope, type) {
  if (type.startsWith(".")) return type.slice(1);
  const name = `${scope.slice(0, scope.lastIndexOf("."))}.${type}`;
  if (!find(name)) throw new Error(`${scope}: no message ${type}`);
  return name;
}

const scalars = new Set(["string", "bytes", "bool", "int32", "int64", "double"]);
const messages = {};
function visit(message) {
  if (messages[message.slice(prefix.length)]) return;
  const fields = [];
  messages[message.slice(prefix.length)] = fields;
  const definition = definitions[openApiName(message)];
  const struct = structs.get(openApiName(message));
  for (const [protobufName, field] of Object.entries(find(message).fields)) {
    // The name in JSON is another one at times. A field that the struct does not have is of a later version of Kubernetes.
    const name = struct?.numbers.size ? struct.numbers.get(field.id) : protobufName;
    if (name === undefined) continue;
    const scalar = scalars.has(field.type);
    const type = scalar ? field.type : resolve(message, field.type);
    const embedded = name === "";
    // Pointers in Go: they are sent only when they are meant. Of all other fields 0, false and empty messages are sent for "not set".
    const pointer = struct?.get(name)?.pointer;
    const kept = scalar && definition?.required?.includes(name);
    const rule = field.keyType
      ? "map"
      : field.rule === "repeated"
        ? "list"
        : embedded
          ? "inline"
          : pointer
            ? "pointer"
            : kept
              ? "kept"
              : "";
    if (field.keyType && field.keyType !== "string") throw new Error(`${message}.${name}: keys are ${field.keyType}`);
    fields.push([field.id, name, scalar ? type : type.slice(prefix.length), ...(rule ? [rule] : [])]);
    if (!scalar) visit(type);
  }
}

const names = {};
for (const [apiVersion, list] of Object.entries(kinds)) {
  const [version, group = ""] = apiVersion.split("/").reverse();
  for (const kind of list.trim().split(/\s+/)) {
    const found = Object.entries(definitions).find(([name, definition]) =>
      definition["x-kubernetes-group-version-kind"]?.some(
        (gvk) => gvk.group === group && gvk.version === version && gvk.kind === kind && !name.endsWith("List"),
      ),
    );
    if (!found) throw new Error(`no definition of ${apiVersion} ${kind}`);
    const message = messageName(found[0]);
    names[`${apiVersion} ${kind}`] = message.slice(prefix.length);
    visit(message);
  }
}
const meta = "apimachinery.pkg.apis.meta.v1";
for (const [name, message] of [
  ["v1 DeleteOptions", "DeleteOptions"],
  ["v1 Status", "Status"],
  ["v1 APIVersions", "APIVersions"],
  ["v1 APIGroupList", "APIGroupList"],
  ["v1 APIGroup", "APIGroup"],
  ["v1 APIResourceList", "APIResourceList"],
  ["meta.k8s.io/v1 PartialObjectMetadata", "PartialObjectMetadata"],
]) {
  names[name] = `${meta}.${message}`;
  visit(`${prefix}${meta}.${message}`);
}

const literal = (value) => JSON.stringify(JSON.stringify(value));
writeFileSync(
  "src/apiserver/protobuf/generated/messages.ts",
  `// Generated by scripts/generate-protobuf.mjs. Do not edit.
import type { Field } from "../fields.ts";

/** Message by \`apiVersion kind\`. */
export const kinds = JSON.parse(${literal(names)}) as Readonly<Record<string, string>>;

/** Fields by message. */
export const messages = JSON.parse(${literal(messages)}) as Readonly<Record<string, readonly Field[]>>;
`,
);
console.log(`${Object.keys(messages).length} messages`);
