import { createStrategy } from "../base-strategy.ts";
import type {
  PersistentVolumeClaim,
  PersistentVolumeClaimSpec,
  TypedLocalObjectReference,
  TypedObjectReference,
} from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { validateOneOf } from "../validation/ports.ts";
import { semanticEqual } from "../values/equal.ts";
import { isDns1123Label, isDns1123Subdomain } from "../values/names.ts";
import { compareQuantities, parseQuantity, unitValue } from "../values/quantity.ts";

export const accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
export const volumeModes = ["Block", "Filesystem"];

const oldClass = "volume.beta.kubernetes.io/storage-class";
const allocationStates = [
  "ControllerResizeInProgress",
  "ControllerResizeInfeasible",
  "NodeResizeInfeasible",
  "NodeResizeInProgress",
  "NodeResizePending",
].sort();

export const persistentVolumeClaimStrategy = createStrategy(resources.PersistentVolumeClaim, {
  defaults: (claim) => defaultClaim(claim),
  prepareForCreate(claim) {
    claim.status = { phase: "Pending" };
    keepDataSources(claim.spec);
  },
  prepareForUpdate: ({ spec }) => keepDataSources(spec),
  warnings: ({ spec }) => claimWarnings(spec, "spec"),
  *validate(claim, _context, old) {
    yield* validateClaimSpec(claim.spec, "spec");
    if (old) yield* validateUpdate(claim, old);
  },
  *validateStatus({ spec, status = {} }) {
    if (!spec.accessModes?.length) yield fault.required("Spec.accessModes");
    for (const [name, amount] of Object.entries(status.capacity ?? {})) {
      if (compareQuantities(amount, "0") < 0)
        yield fault.invalid(`status.capacity[${name}]`, unitValue(amount), "must be a valid resource quantity");
    }
    for (const [name, state] of Object.entries(status.allocatedResourceStatuses ?? {})) {
      if (!allocationStates.includes(state))
        yield fault.notSupported("status.allocatedResourceStatuses", name, allocationStates);
    }
  },
});

/** Defaults of a claim, and of a template that claims are made from. */
export function defaultClaim(claim: PersistentVolumeClaim): void {
  claim.status ??= {};
  claim.status.phase ||= "Pending";
  defaultClaimSpec(claim.spec);
}

/** Defaults of a claim's spec, also where it is part of a pod's ephemeral volume. */
export function defaultClaimSpec(spec: PersistentVolumeClaimSpec): void {
  spec.volumeMode ??= "Filesystem";
}

/** What the older field may name: other claims and snapshots. Anything else is ignored, as it has always been. */
const isOldSource = ({ apiGroup, kind }: TypedLocalObjectReference): boolean =>
  apiGroup ? apiGroup === "snapshot.storage.k8s.io" && kind === "VolumeSnapshot" : kind === "PersistentVolumeClaim";

/** The older field and the newer one for what a volume is filled from hold the same. */
function keepDataSources(spec: PersistentVolumeClaimSpec): void {
  if (spec.dataSource && !spec.dataSourceRef && !isOldSource(spec.dataSource)) delete spec.dataSource;
  const { dataSource, dataSourceRef } = spec;
  if (dataSource && !dataSourceRef) spec.dataSourceRef = { ...dataSource };
  else if (dataSourceRef && !dataSource && !dataSourceRef.namespace) {
    const { namespace: _none, ...local } = dataSourceRef;
    spec.dataSource = local;
  }
}

/** Warnings about a claim's spec, which stands at `path`. */
export function claimWarnings(spec: PersistentVolumeClaimSpec, path: string): string[] {
  const amount = spec.resources?.requests?.["storage"] ?? "0";
  if (parseQuantity(amount).nano % 1_000_000_000n === 0n) return [];
  const at = `${path}.resources.requests[storage]`;
  return [`${at}: fractional byte value ${JSON.stringify(amount)} is invalid, must be an integer`];
}

/** Faults of a claim's spec, which stands at `path`. */
export function* validateClaimSpec(spec: PersistentVolumeClaimSpec, path: string): Faults {
  const { accessModes: modes = [], dataSource, dataSourceRef } = spec;
  if (modes.length === 0) yield fault.required(`${path}.accessModes`, "at least 1 access mode is required");
  if (spec.selector) yield* validateLabelSelector(spec.selector, `${path}.selector`);
  for (const mode of modes) yield* validateOneOf(mode, accessModes, `${path}.accessModes`);
  if (
    modes.includes("ReadWriteOncePod") &&
    modes.some((mode) => mode !== "ReadWriteOncePod" && accessModes.includes(mode))
  )
    yield fault.forbidden(`${path}.accessModes`, "may not use ReadWriteOncePod with other access modes");
  const storage = spec.resources?.requests?.["storage"];
  if (storage === undefined) yield fault.required(`${path}.resources[storage]`);
  else if (compareQuantities(storage, "0") <= 0)
    yield fault.invalid(`${path}.resources[storage]`, storage, "must be greater than zero");
  for (const field of ["storageClassName", "volumeAttributesClassName"] as const) {
    const name = spec[field];
    if (field === "storageClassName" && name) yield* invalids(`${path}.${field}`, name, isDns1123Subdomain(name));
  }
  if (spec.volumeMode !== undefined) yield* validateOneOf(spec.volumeMode, volumeModes, `${path}.volumeMode`);
  if (dataSource) yield* validateSource(dataSource, `${path}.dataSource`);
  if (dataSourceRef) yield* validateSource(dataSourceRef, `${path}.dataSourceRef`);
  if (dataSource && dataSourceRef) {
    // Upstream gives the path where the value should be.
    if (dataSourceRef.namespace)
      yield fault.invalid(path, {}, "may not be specified when dataSourceRef.namespace is specified");
    else if (!semanticEqual(dataSource, dataSourceRef)) yield fault.invalid(path, {}, "must match dataSourceRef");
  }
  const { volumeAttributesClassName: attributes } = spec;
  if (attributes) yield* invalids(`${path}.volumeAttributesClassName`, attributes, isDns1123Subdomain(attributes));
}

function* validateSource(source: TypedLocalObjectReference | TypedObjectReference, path: string): Faults {
  const { name, kind, apiGroup = "" } = source;
  if (!name) yield fault.required(`${path}.name`);
  if (!kind) yield fault.required(`${path}.kind`);
  if (apiGroup) yield* invalids(`${path}.apiGroup`, apiGroup, isDns1123Subdomain(apiGroup));
  else if (kind !== "PersistentVolumeClaim")
    yield fault.invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  if ("namespace" in source && source.namespace)
    yield* invalids(`${path}.namespace`, source.namespace, isDns1123Label(source.namespace));
}

function* validateUpdate(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): Faults {
  yield* validateImmutable(
    claim.metadata.annotations?.[oldClass] ?? "",
    old.metadata.annotations?.[oldClass] ?? "",
    `metadata.annotations[${oldClass}]`,
  );
  const { spec } = claim;
  const before = old.spec;
  const bound = claim.status?.phase === "Bound";
  // What may differ: a volume is named once, a class where there was none, and of a bound claim its size and attributes.
  const free: (keyof PersistentVolumeClaimSpec)[] = [
    ...(before.volumeName ? [] : (["volumeName"] as const)),
    ...(before.storageClassName === undefined ? (["storageClassName"] as const) : []),
    ...(bound ? (["volumeAttributesClassName"] as const) : []),
  ];
  const same = { ...spec };
  for (const field of free) Object.assign(same, { [field]: before[field] });
  if (bound && spec.resources?.requests) {
    const storage = before.resources?.requests?.["storage"] ?? "0";
    same.resources = { ...spec.resources, requests: { ...spec.resources.requests, storage } };
  }
  if (!semanticEqual(same, before))
    yield fault.forbidden(
      "spec",
      "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
    );
  const size = (of: PersistentVolumeClaimSpec): string => of.resources?.requests?.["storage"] ?? "0";
  if (
    compareQuantities(size(spec), size(before)) < 0 &&
    compareQuantities(size(spec), old.status?.capacity?.["storage"] ?? "0") <= 0
  )
    yield fault.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity");
  yield* validateImmutable(spec.volumeMode, before.volumeMode, "volumeMode");
  const path = "spec.volumeAttributesClassName";
  if (
    spec.volumeAttributesClassName !== before.volumeAttributesClassName &&
    old.status?.currentVolumeAttributesClassName !== undefined
  ) {
    const applied = "is forbidden when status.currentVolumeAttributesClassName is not nil";
    if (spec.volumeAttributesClassName === undefined) yield fault.forbidden(path, `update to nil ${applied}`);
    else if (spec.volumeAttributesClassName === "") yield fault.forbidden(path, `update to empty string ${applied}`);
  }
}
