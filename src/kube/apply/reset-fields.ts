import { include, isEmpty, recursiveDifference, setOf, type FieldSet, type Pattern } from "./field-set.ts";
import { fieldElement } from "./path-element.ts";

/** Leaves of a set what a request may write at all: nobody manages fields that the server keeps as they were. */
export type ResetFields = (set: FieldSet) => FieldSet;

/** What a table of reset fields has to know of a kind. */
export interface ResettingKind {
  readonly group: string;
  readonly kind: string;
  readonly subresources: readonly string[];
  /** Defined by a CustomResourceDefinition. */
  readonly custom: boolean;
}

interface Growing extends Pattern {
  [element: string]: Growing;
}

const path = (text: string) => text.split(".").map(fieldElement);

const without = (...paths: string[]): ResetFields => {
  const reset = setOf(...paths.map(path));
  return (set) => (isEmpty(set) ? set : recursiveDifference(set, reset));
};

/** Keeps what lies at or below one of the paths; `*` stands for an item of a list. */
const only = (...paths: string[]): ResetFields => {
  const pattern: Growing = {};
  for (const text of paths) {
    let at = pattern;
    for (const part of text.split(".")) at = at[part === "*" ? part : fieldElement(part)] ??= {};
  }
  return (set) => include(set, pattern);
};

const all: ResetFields = (set) => set;
const status = without("status");
const spec = without("spec");
const metadataAndSpec = without("metadata", "spec");
const resize = ["containers", "initContainers"].flatMap((list) => [
  `spec.${list}.*.resources`,
  `spec.${list}.*.resizePolicy`,
]);

/** Kinds and parts that differ from the rule: the object without its status, the status without the spec. */
const exceptions: Readonly<Record<string, ResetFields>> = {
  "/Pod/status": without("spec", "metadata.deletionTimestamp", "metadata.ownerReferences"),
  "/Pod/ephemeralcontainers": only("spec.ephemeralContainers"),
  "/Pod/resize": only(...resize),
  "/Namespace/finalize": all,
  "apps/Deployment/status": without("spec", "metadata.labels"),
  "storage.k8s.io/VolumeAttachment/status": metadataAndSpec,
  "apiextensions.k8s.io/CustomResourceDefinition/status": metadataAndSpec,
  "apiregistration.k8s.io/APIService/status": metadataAndSpec,
  "flowcontrol.apiserver.k8s.io/FlowSchema/status": metadataAndSpec,
  "flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration/status": metadataAndSpec,
  "admissionregistration.k8s.io/ValidatingAdmissionPolicy/status": metadataAndSpec,
  "resource.k8s.io/ResourceClaim/status": metadataAndSpec,
  "certificates.k8s.io/CertificateSigningRequest/": without("spec", "status"),
  "certificates.k8s.io/CertificateSigningRequest/status": without("spec", "status.conditions"),
  "certificates.k8s.io/CertificateSigningRequest/approval": without("spec", "status.certificate"),
};

/** The fields that a write to a kind or to a part of it leaves to the server, as upstream's strategies name them. */
export function resetFieldsOf({ group, kind, subresources, custom }: ResettingKind, subresource: string): ResetFields {
  const exception = exceptions[`${group}/${kind}/${subresource}`];
  if (exception && !custom) return exception;
  if (subresource === "status") return spec;
  return subresources.includes("status") ? status : all;
}
