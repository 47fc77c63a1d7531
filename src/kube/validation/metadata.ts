import { isLabelValue, isQualifiedName, isDns1123Label, forPrefix, type NameCheck } from "../values/names.ts";
import type { FieldError } from "../field-error.ts";
import type { Metadata, ObjectMeta, OwnerReference } from "../generated/types.ts";
import { semanticEqual } from "../values/equal.ts";
import { fault, invalids, type Faults } from "./fault.ts";

export interface MetadataRules {
  readonly namespaced: boolean;
  readonly name: NameCheck;
}

const annotationLimit = 256 * 1024;

/** Metadata of an object that is created, as `ValidateObjectMeta`. */
export function* validateMetadata(metadata: Metadata, { namespaced, name }: MetadataRules): Faults {
  if (metadata.generateName) {
    yield* invalids("metadata.generateName", metadata.generateName, forPrefix(name)(metadata.generateName));
  }
  if (!metadata.name) yield fault.required("metadata.name", "name or generateName is required");
  else yield* invalids("metadata.name", metadata.name, name(metadata.name));

  if (!namespaced) {
    if (metadata.namespace) yield fault.forbidden("metadata.namespace", "not allowed on this type");
  } else if (!metadata.namespace) yield fault.required("metadata.namespace");
  else yield* invalids("metadata.namespace", metadata.namespace, isDns1123Label(metadata.namespace));

  yield* validateNonNegative(metadata.generation, "metadata.generation");
  yield* validateFreeMetadata(metadata);
  yield* validateFinalizers(metadata.finalizers ?? []);
  yield* validateStandardFinalizers(metadata.finalizers ?? []);
}

/**
 * Metadata of an object that is changed. Upstream looks at it as that of a new object (`ValidateObjectMeta`) and as a change
 * (`ValidateObjectMetaUpdate`), first for all kinds, then for each kind again: each time gives its own causes. `times`: how often the
 * kind itself looks at it as that of a new object; custom resources do not.
 */
export function validateMetadataUpdate(metadata: Metadata, old: Metadata, times = 1): FieldError[] {
  const { finalizers = [] } = metadata;
  const free = [...validateFreeMetadata(metadata)];
  const asNew = [...free, ...validateFinalizers(finalizers)];
  const changed = [...validateChange(metadata, old), ...free];
  const again = Array.from({ length: times }, () => asNew).flat();
  return [...asNew, ...changed, ...changed, ...again, ...validateStandardFinalizers(finalizers)];
}

function* validateChange(metadata: Metadata, old: Metadata): Faults {
  if (old.deletionTimestamp) {
    const added = (metadata.finalizers ?? []).filter((name) => !old.finalizers?.includes(name)).sort();
    if (added.length > 0) {
      const shown = added.map((name) => JSON.stringify(name)).join(", ");
      yield fault.forbidden(
        "metadata.finalizers",
        `no new finalizers can be added if the object is being deleted, found new finalizers []string{${shown}}`,
      );
    }
  }
  yield* validateNonNegative(metadata.generation, "metadata.generation");
  if ((metadata.generation ?? 0) < (old.generation ?? 0)) {
    yield fault.invalid("metadata.generation", metadata.generation ?? 0, "must not be decremented");
  }
  for (const key of [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
  ] as const) {
    yield* validateImmutable(metadata[key], old[key], `metadata.${key}`);
  }
}

function* validateFreeMetadata(metadata: ObjectMeta): Faults {
  yield* validateLabels(metadata.labels, "metadata.labels");
  yield* validateAnnotations(metadata.annotations, "metadata.annotations");
  yield* validateOwners(metadata.ownerReferences ?? []);
}

export function* validateLabels(labels: Readonly<Record<string, string>> | undefined, path: string): Faults {
  for (const [key, value] of Object.entries(labels ?? {})) {
    yield* invalids(path, key, isQualifiedName(key));
    yield* invalids(path, value, isLabelValue(value));
  }
}

export function* validateAnnotations(annotations: Readonly<Record<string, string>> | undefined, path: string): Faults {
  let size = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    yield* invalids(path, key, isQualifiedName(key.toLowerCase()));
    size += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (size > annotationLimit) yield fault.tooLong(path, annotationLimit);
}

/** Upstream names the list alone, not which of the owners it is. */
function* validateOwners(owners: readonly OwnerReference[]): Faults {
  const path = "metadata.ownerReferences";
  let controller: string | undefined;
  for (const owner of owners) {
    const { apiVersion } = owner;
    if (!/^([^/]*\/)?[^/]+$/.test(apiVersion))
      yield fault.invalid(`${path}.apiVersion`, apiVersion, "version must not be empty");
    for (const key of ["kind", "name", "uid"] as const)
      if (!owner[key]) yield fault.invalid(`${path}.${key}`, "", "must not be empty");
    if (owner.apiVersion === "v1" && owner.kind === "Event")
      yield fault.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner");
    if (!owner.controller) continue;
    const name = `${owner.kind}/${owner.name}`;
    if (controller !== undefined) {
      const text = `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${name}`;
      yield fault.invalid(path, owners, text);
    }
    controller ??= name;
  }
}

function* validateFinalizers(finalizers: readonly string[]): Faults {
  for (const name of finalizers) yield* invalids("metadata.finalizers", name, isQualifiedName(name));
  if (finalizers.includes("orphan") && finalizers.includes("foregroundDeletion")) {
    const text = "finalizer orphan and foregroundDeletion cannot be both set";
    yield fault.invalid("metadata.finalizers", finalizers, text);
  }
}

const standardFinalizers = ["kubernetes", "orphan", "foregroundDeletion"];

function* validateStandardFinalizers(finalizers: readonly string[]): Faults {
  for (const [i, name] of finalizers.entries()) yield* validateStandardFinalizer(name, `metadata.finalizers[${i}]`);
}

/** A finalizer without a domain must be one of Kubernetes' own. */
export function* validateStandardFinalizer(name: string, path: string): Faults {
  if (name.includes("/") || standardFinalizers.includes(name)) return;
  yield fault.invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified");
}

/** `value` must be what it was. */
export function* validateImmutable(value: unknown, old: unknown, path: string): Faults {
  if (!semanticEqual(value, old)) yield fault.invalid(path, value, "field is immutable");
}

export function* validateNonNegative(value: number | undefined, path: string): Faults {
  if (value !== undefined && value < 0) yield fault.invalid(path, value, "must be greater than or equal to 0");
}
