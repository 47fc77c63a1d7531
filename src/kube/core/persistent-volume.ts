import { createStrategy } from "../base-strategy.ts";
import type { PersistentVolume, PersistentVolumeSpec } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { validateOneOf } from "../validation/ports.ts";
import { semanticEqual } from "../values/equal.ts";
import { isDns1123Subdomain } from "../values/names.ts";
import { compareQuantities } from "../values/quantity.ts";
import { validateNoBacksteps } from "./mount-validation.ts";
import { accessModes, volumeModes } from "./persistent-volume-claim.ts";

/** Where the volume is: one of these, which stays what it was. */
const sources = [
  "hostPath",
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "glusterfs",
  "flocker",
  "nfs",
  "rbd",
  "quobyte",
  "cephfs",
  "iscsi",
  "cinder",
  "fc",
  "flexVolume",
  "azureFile",
  "vsphereVolume",
  "photonPersistentDisk",
  "portworxVolume",
  "azureDisk",
  "scaleIO",
  "local",
  "storageos",
  "csi",
] as const;

export const persistentVolumeStrategy = createStrategy(resources.PersistentVolume, {
  defaults(volume) {
    volume.status ??= {};
    volume.status.phase ||= "Pending";
    const { spec } = volume;
    spec.persistentVolumeReclaimPolicy ||= "Retain";
    spec.volumeMode ??= "Filesystem";
    if (spec.hostPath) spec.hostPath.type ??= "";
  },
  prepareForCreate(volume, { now }) {
    volume.status = { phase: "Pending", lastPhaseTransitionTime: now };
  },
  prepareStatus({ status }, old, { now }) {
    const before = old.status?.lastPhaseTransitionTime;
    // What a client gives for it holds; one that does not know the field does not take it away.
    if (!status || (status.lastPhaseTransitionTime && status.lastPhaseTransitionTime !== before)) return;
    const time = status.phase === old.status?.phase ? before : now;
    if (time !== undefined) status.lastPhaseTransitionTime = time;
  },
  *validate({ spec }, _context, old) {
    yield* validateSpec(spec);
    if (old) yield* validateUpdate(spec, old);
  },
});

function* validateSpec(spec: PersistentVolumeSpec): Faults {
  const { accessModes: modes = [], capacity = {} } = spec;
  if (modes.length === 0) yield fault.required("spec.accessModes");
  for (const mode of modes) yield* validateOneOf(mode, accessModes, "spec.accessModes");
  if (
    modes.includes("ReadWriteOncePod") &&
    modes.some((mode) => mode !== "ReadWriteOncePod" && accessModes.includes(mode))
  )
    yield fault.forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes");
  const names = Object.keys(capacity);
  if (names.length === 0) yield fault.required("spec.capacity");
  if (names.length !== 1 || names[0] !== "storage")
    yield fault.notSupported(
      "spec.capacity",
      names.length > 0 ? Object.fromEntries(Object.entries(capacity).sort()) : null,
      ["storage"],
    );
  for (const [name, amount] of Object.entries(capacity)) {
    if (compareQuantities(amount, "0") <= 0)
      yield fault.invalid(`spec.capacity[${name}]`, amount, "must be greater than zero");
  }
  yield* validateOneOf(
    spec.persistentVolumeReclaimPolicy ?? "",
    ["Delete", "Recycle", "Retain"],
    "spec.persistentVolumeReclaimPolicy",
  );
  const given = sources.filter((source) => spec[source] !== undefined);
  for (const source of given.slice(1))
    yield fault.forbidden(`spec.${source}`, "may not specify more than 1 volume type");
  if (given.length === 0) yield fault.required("spec", "must specify a volume type");
  yield* validateSource(spec);
  const { storageClassName = "", volumeMode, volumeAttributesClassName: attributes } = spec;
  if (storageClassName)
    yield* invalids("spec.storageClassName", storageClassName, isDns1123Subdomain(storageClassName));
  if (volumeMode !== undefined) yield* validateOneOf(volumeMode, volumeModes, "spec.volumeMode");
  if (attributes === undefined) return;
  const path = "spec.volumeAttributesClassName";
  if (attributes === "") yield fault.required(path, "an empty string is disallowed");
  else yield* invalids(path, attributes, isDns1123Subdomain(attributes));
  if (!spec.csi) yield fault.required("spec.csi", "has to be specified when using volumeAttributesClassName");
}

function* validateSource({ hostPath, nfs, local, csi, nodeAffinity, ...spec }: PersistentVolumeSpec): Faults {
  if (hostPath) {
    if (hostPath.path === "") yield fault.required("spec.hostPath.path");
    else yield* validateNoBacksteps(hostPath.path, "spec.hostPath.path");
    if (/^\/+$/.test(hostPath.path) && spec.persistentVolumeReclaimPolicy === "Recycle") {
      const text = "may not be 'recycle' for a hostPath mount of '/'";
      yield fault.forbidden("spec.persistentVolumeReclaimPolicy", text);
    }
  }
  if (nfs) {
    if (nfs.server === "") yield fault.required("spec.nfs.server");
    if (nfs.path === "") yield fault.required("spec.nfs.path");
    else if (!nfs.path.startsWith("/")) yield fault.invalid("spec.nfs.path", nfs.path, "must be an absolute path");
  }
  if (local) {
    if (local.path === "") yield fault.required("spec.local.path");
    else yield* validateNoBacksteps(local.path, "spec.local.path");
    if (!nodeAffinity?.required) yield fault.required("spec.nodeAffinity", "Local volume requires node affinity");
  }
  if (csi) {
    if (csi.driver === "") yield fault.required("spec.csi.driver");
    if (csi.volumeHandle === "") yield fault.required("spec.csi.volumeHandle");
  }
}

function* validateUpdate(spec: PersistentVolumeSpec, { spec: old }: PersistentVolume): Faults {
  const sourceOf = (of: PersistentVolumeSpec): unknown => Object.fromEntries(sources.map((name) => [name, of[name]]));
  const before = { ...old };
  // A secret for growing the volume may be named later.
  if (before.csi && !before.csi.controllerExpandSecretRef && spec.csi?.controllerExpandSecretRef)
    before.csi = { ...before.csi, controllerExpandSecretRef: spec.csi.controllerExpandSecretRef };
  if (!semanticEqual(sourceOf(spec), sourceOf(before)))
    yield fault.forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation");
  yield* validateImmutable(spec.volumeMode, old.volumeMode, "volumeMode");
  if (old.nodeAffinity) yield* validateImmutable(spec.nodeAffinity ?? null, old.nodeAffinity, "nodeAffinity");
  if (old.volumeAttributesClassName !== undefined && spec.volumeAttributesClassName === undefined)
    yield fault.forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden");
}
