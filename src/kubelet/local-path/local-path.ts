import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Draft, Node, PersistentVolume, PersistentVolumeClaim, StorageClass } from "../../kube/index.ts";
import { referenceToClaim, requestOf } from "../../scheduler/index.ts";

/** Name of the provisioner in StorageClasses. */
export const localPathProvisioner = "fairlead.dev/local-path";

/** Keeps a volume until its directory is gone. */
export const localPathFinalizer = "fairlead.dev/local-path";

/** Why no volume is made for the claim; undefined when one can be. */
export function refusalOf({ spec }: PersistentVolumeClaim): string | undefined {
  const known = ["ReadWriteOnce", "ReadWriteOncePod"];
  if (!spec.accessModes?.every((mode) => known.includes(mode)))
    return `only the access modes ${known.join(" and ")} are supported: the volume is a directory of one node`;
  if (spec.selector) return "a claim with a selector is not supported";
  if (spec.volumeMode === "Block") return "volumeMode Block is not supported";
  return spec.dataSourceRef ? "dataSource is not supported" : undefined;
}

/** Name of the volume of a claim. */
export const volumeNameOf = ({ metadata }: PersistentVolumeClaim): string => `pvc-${metadata.uid}`;

/** Where the volume of a claim is: in `root`, of the node. Its name tells people whose it is; its uid makes it one of its own. */
export const pathFor = (root: string, { metadata }: PersistentVolumeClaim): string =>
  join(root, `pvc-${metadata.uid}_${metadata.namespace}_${metadata.name}`);

/** The volume to be made for a claim, on a node. */
export function volumeFor(
  claim: PersistentVolumeClaim,
  { metadata, reclaimPolicy = "Delete" }: StorageClass,
  node: Node,
  path: string,
): Draft<PersistentVolume> {
  const key = "kubernetes.io/hostname";
  const hostname = node.metadata.labels?.[key] ?? node.metadata.name;
  return {
    metadata: {
      name: volumeNameOf(claim),
      annotations: { "pv.kubernetes.io/provisioned-by": localPathProvisioner },
      finalizers: [localPathFinalizer],
    },
    spec: {
      capacity: { storage: requestOf(claim) },
      accessModes: claim.spec.accessModes ?? [],
      volumeMode: "Filesystem",
      storageClassName: metadata.name,
      persistentVolumeReclaimPolicy: reclaimPolicy,
      claimRef: referenceToClaim(claim),
      local: { path },
      nodeAffinity: {
        required: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator: "In", values: [hostname] }] }] },
      },
    },
  };
}

/** The directory of a volume when it is one that was made in `root`; undefined for any other path, however it is spelt. */
export function directoryOf({ metadata, spec }: PersistentVolume, root: string): string | undefined {
  const { namespace = "", name = "", uid = "" } = spec.claimRef ?? {};
  if (!uid || metadata.name !== `pvc-${uid}` || [namespace, name, uid].some((part) => !isPlain(part))) return undefined;
  const path = join(root, `pvc-${uid}_${namespace}_${name}`);
  return spec.local?.path === path && resolve(path) === path ? path : undefined;
}

const isPlain = (part: string): boolean => /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(part) && !part.includes("..");

/** Any user of a container may write in it, as with an emptyDir. */
export function makeDirectory(path: string): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o777);
}

/** Symbolic links in it are removed, not followed. */
export const removeDirectory = (path: string): void => rmSync(path, { recursive: true, force: true });
