import {
  compareQuantities,
  type Node,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
  type StorageClass,
} from "../kube/index.ts";
import type { CountingFilter, Objection } from "./filters.ts";
import type { NodeInfo } from "./node-info.ts";
import { bestVolumeFor, classOf, isBound, reaches, requestOf, selectedNode } from "./volume-match.ts";

/** The objects that say where a pod's volumes are, or can be. */
export interface StorageObjects {
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined;
  volume(name: string): PersistentVolume | undefined;
  /** All volumes but those that were just promised to other claims than this. */
  volumesFor(claim: PersistentVolumeClaim): readonly PersistentVolume[];
  storageClass(name: string): StorageClass | undefined;
}

/** What is to be done so that the claims of a pod are bound to volumes that its node reaches. */
export interface VolumePlan {
  readonly nodeName: string;
  readonly bind: readonly { readonly claim: PersistentVolumeClaim; readonly volume: PersistentVolume }[];
  /** Claims whose provisioner is to make a volume there. */
  readonly provision: readonly PersistentVolumeClaim[];
}

/** Name of the provisioner of classes whose volumes are made by hand. */
const noProvisioner = "kubernetes.io/no-provisioner";

/** Names of the claims of a pod, those that are made for it (generic ephemeral volumes) among them. */
export function claimNamesOf({ metadata, spec }: Pod): string[] {
  return (spec.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }) => {
    if (persistentVolumeClaim) return [persistentVolumeClaim.claimName];
    return ephemeral ? [`${metadata.name}-${name}`] : [];
  });
}

/** True when claims of the class are bound only when a pod that uses them has found its node. */
export const waitsForConsumer = (storageClass: StorageClass | undefined): boolean =>
  storageClass?.volumeBindingMode === "WaitForFirstConsumer";

/** Why the pod can go to no node before something happens to its claims, in upstream's words. */
export function claimsFault(pod: Pod, storage: StorageObjects): string | undefined {
  const { namespace = "", name: podName } = pod.metadata;
  for (const name of claimNamesOf(pod)) {
    const claim = storage.claim(namespace, name);
    const quoted = `persistentvolumeclaim ${JSON.stringify(name)}`;
    const isEphemeral = pod.spec.volumes?.some(({ ephemeral, name: of }) => ephemeral && `${podName}-${of}` === name);
    if (!claim) {
      return isEphemeral ? `waiting for ephemeral volume controller to create the ${quoted}` : `${quoted} not found`;
    }
    if (claim.status?.phase === "Lost")
      return `${quoted} bound to non-existent persistentvolume ${JSON.stringify(claim.spec.volumeName ?? "")}`;
    if (claim.metadata.deletionTimestamp) return `${quoted} is being deleted`;
    if (isEphemeral && !claim.metadata.ownerReferences?.some(({ uid }) => uid === pod.metadata.uid))
      return `PVC ${namespace}/${name} was not created for pod ${namespace}/${podName} (pod is not owner)`;
    const waits = !claim.spec.volumeName && waitsForConsumer(storage.storageClass(classOf(claim)));
    if (!isBound(claim) && !waits) return "pod has unbound immediate PersistentVolumeClaims";
  }
  return undefined;
}

/** Keeps a pod off nodes that its volumes can't be reached from, and away from claims that are one other pod's only. */
export function createVolumeFilter(pod: Pod, nodes: readonly NodeInfo[], storage: StorageObjects): CountingFilter {
  const { namespace = "" } = pod.metadata;
  const claims = claimNamesOf(pod).flatMap((name) => storage.claim(namespace, name) ?? []);
  const bound = claims.filter(isBound);
  const exclusive = new Set(
    claims.filter(({ spec }) => spec.accessModes?.includes("ReadWriteOncePod")).map(({ metadata }) => metadata.name),
  );
  /** Pods that use an exclusive claim, wherever they are. */
  let users = 0;
  const count: CountingFilter["count"] = (other, _info, by) => {
    if (exclusive.size === 0 || other.metadata.namespace !== namespace) return;
    if (claimNamesOf(other).some((name) => exclusive.has(name))) users += by;
  };
  if (exclusive.size > 0) for (const info of nodes) for (const other of info.pods.values()) count(other, info, 1);

  const fixed = (reason: string): Objection => ({ reasons: [reason], curable: false });
  return {
    count,
    check({ node }) {
      if (users > 0) {
        const reason = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
        return { reasons: [reason], curable: true };
      }
      for (const { spec } of bound) {
        const volume = storage.volume(spec.volumeName ?? "");
        if (!volume) return fixed("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)");
        if (!reaches(volume, node)) return fixed("node(s) didn't match PersistentVolume's node affinity");
      }
      return planVolumes(pod, node, storage)
        ? undefined
        : fixed("node(s) didn't find available persistent volumes to bind");
    },
  };
}

/** How the claims of a pod that are not bound yet can be, on a node; undefined when they can't. */
export function planVolumes(pod: Pod, node: Node, storage: StorageObjects): VolumePlan | undefined {
  const bind: { claim: PersistentVolumeClaim; volume: PersistentVolume }[] = [];
  const provision: PersistentVolumeClaim[] = [];
  const open = claimNamesOf(pod)
    .flatMap((name) => storage.claim(pod.metadata.namespace ?? "", name) ?? [])
    .filter((claim) => !isBound(claim))
    // What is small must not take what only is big enough for another.
    .sort((a, b) => compareQuantities(requestOf(a), requestOf(b)));
  for (const claim of open) {
    const chosen = claim.metadata.annotations?.[selectedNode];
    if (chosen !== undefined && chosen !== node.metadata.name) return undefined;
    const others = new Set(bind.map(({ volume }) => volume.metadata.name));
    const free = storage.volumesFor(claim).filter(({ metadata }) => !others.has(metadata.name));
    const volume = chosen === undefined ? bestVolumeFor(claim, free, { node }) : undefined;
    if (volume) bind.push({ claim, volume });
    else if (canProvision(storage.storageClass(classOf(claim)), node)) provision.push(claim);
    else return undefined;
  }
  return { nodeName: node.metadata.name, bind, provision };
}

function canProvision(storageClass: StorageClass | undefined, { metadata }: Node): boolean {
  if (!storageClass || storageClass.provisioner === noProvisioner) return false;
  const terms = storageClass.allowedTopologies ?? [];
  return (
    terms.length === 0 ||
    terms.some(({ matchLabelExpressions = [] }) =>
      matchLabelExpressions.every(({ key, values }) => values.includes(metadata.labels?.[key] ?? "")),
    )
  );
}
