import {
  compareQuantities,
  matchesLabels,
  type Node,
  type ObjectReference,
  type PersistentVolume,
  type PersistentVolumeClaim,
} from "../kube/index.ts";
import { selectorAdmits } from "./node-affinity.ts";

/** The annotation says that a claim and its volume have both been told of each other. */
export const bindCompleted = "pv.kubernetes.io/bind-completed";
/** The annotation is on the side of a pair that did not name the other itself. */
export const boundByController = "pv.kubernetes.io/bound-by-controller";
/** The annotation names the node where a provisioner is to make the volume. */
export const selectedNode = "volume.kubernetes.io/selected-node";

const oldClass = "volume.beta.kubernetes.io/storage-class";

/** Name of the StorageClass of a claim or volume; empty when it has none. */
export function classOf({ metadata, spec }: PersistentVolumeClaim | PersistentVolume): string {
  return metadata.annotations?.[oldClass] ?? spec.storageClassName ?? "";
}

/** True when the volume is kept for this claim: by its controller, or by who made it. */
export function isKeptFor({ spec: { claimRef } }: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean {
  if (!claimRef || claimRef.name !== metadata.name || claimRef.namespace !== metadata.namespace) return false;
  return !claimRef.uid || claimRef.uid === metadata.uid;
}

/** A claim as volumes name it. */
export function referenceToClaim({ metadata }: PersistentVolumeClaim): ObjectReference {
  const { namespace = "", name, uid = "", resourceVersion = "" } = metadata;
  return { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name, uid, resourceVersion };
}

/** True when both know of each other, so that pods may use the claim. */
export const isBound = ({ metadata, spec }: PersistentVolumeClaim): boolean =>
  Boolean(spec.volumeName) && metadata.annotations?.[bindCompleted] !== undefined;

/** True when the volume can be reached from the node. */
export const reaches = ({ spec }: PersistentVolume, node: Node): boolean =>
  !spec.nodeAffinity?.required || selectorAdmits(spec.nodeAffinity.required, node);

/** Why the volume is not what the claim asks for, in upstream's words; undefined when it is. The claim's selector is not asked. */
export function mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim): string | undefined {
  if (compareQuantities(sizeOf(volume), requestOf(claim)) < 0) return "requested PV is too small";
  if (classOf(volume) !== classOf(claim)) return "storageClassName does not match";
  if (modeOf(volume) !== modeOf(claim)) return "incompatible volumeMode";
  const offered = volume.spec.accessModes ?? [];
  if (!(claim.spec.accessModes ?? []).every((mode) => offered.includes(mode))) return "incompatible accessMode";
  return undefined;
}

/**
 * The volume to bind a claim to: one that is kept for it, else the smallest of those that will do. With a `node`, only what
 * can be reached from there; without one and with `keptOnly`, none but one that is kept for it.
 */
export function bestVolumeFor(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  { node, keptOnly = false }: { readonly node?: Node; readonly keptOnly?: boolean } = {},
): PersistentVolume | undefined {
  const usable = volumes.filter(
    (volume) =>
      !volume.metadata.deletionTimestamp &&
      compareQuantities(sizeOf(volume), requestOf(claim)) >= 0 &&
      modeOf(volume) === modeOf(claim),
  );
  const kept = usable.find((volume) => isKeptFor(volume, claim));
  if (kept) return node && !reaches(kept, node) ? undefined : kept;
  if (keptOnly) return undefined;
  const fitting = usable.filter(
    (volume) =>
      !volume.spec.claimRef &&
      volume.status?.phase === "Available" &&
      mismatch(volume, claim) === undefined &&
      (!claim.spec.selector || matchesLabels(claim.spec.selector, volume.metadata.labels)) &&
      (!node || reaches(volume, node)),
  );
  const [smallest] = fitting.sort((a, b) => compareQuantities(sizeOf(a), sizeOf(b)) || byName(a, b));
  return smallest;
}

const byName = (a: PersistentVolume, b: PersistentVolume): number => (a.metadata.name < b.metadata.name ? -1 : 1);
const sizeOf = ({ spec }: PersistentVolume) => spec.capacity?.["storage"] ?? "0";
/** What a claim asks for. */
export const requestOf = ({ spec }: PersistentVolumeClaim) => spec.resources?.requests?.["storage"] ?? "0";
const modeOf = ({ spec }: PersistentVolume | PersistentVolumeClaim): string => spec.volumeMode ?? "Filesystem";
