import type { Client } from "../../client/index.ts";
import { isStatus, type Node, type PersistentVolume, type Pod, resources, type Volume } from "../../kube/index.ts";
import { isBound, isKeptFor, reaches } from "../../scheduler/index.ts";
import { ConfigError } from "../pods/config-error.ts";

/** Name of the claim that a volume of a pod stands for; undefined for other volumes. */
export function claimNameOf({ metadata }: Pod, { name, persistentVolumeClaim, ephemeral }: Volume): string | undefined {
  return persistentVolumeClaim?.claimName ?? (ephemeral ? `${metadata.name}-${name}` : undefined);
}

/**
 * The PersistentVolume that a claim of the pod is bound to, when this node reaches it. Throws `ConfigError` when there is none that
 * may be used.
 */
export async function claimedVolume(
  client: Pick<Client, "get">,
  pod: Pod,
  claimName: string,
  node: Node | undefined,
): Promise<PersistentVolume> {
  const { namespace = "" } = pod.metadata;
  const found = async <T>(work: Promise<T>, what: string): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (isStatus(error, "NotFound", "Forbidden")) throw new ConfigError(`${what} not found`);
      throw error;
    }
  };
  const quoted = JSON.stringify(claimName);
  const claim = await found(
    client.get(resources.PersistentVolumeClaim, { namespace, name: claimName }),
    `persistentvolumeclaim ${quoted}`,
  );
  if (claim.metadata.deletionTimestamp && !pod.status?.startTime) throw new ConfigError("PVC is being deleted");
  if (!isBound(claim)) throw new ConfigError("PVC is not bound");
  const { volumeName = "" } = claim.spec;
  const volume = await found(
    client.get(resources.PersistentVolume, { name: volumeName }),
    `persistentvolume ${JSON.stringify(volumeName)}`,
  );
  if (!volume.spec.claimRef?.uid || !isKeptFor(volume, claim))
    throw new ConfigError(`PV ${volumeName} is not bound to claim ${namespace}/${claimName}`);
  if (volume.spec.volumeMode === "Block") throw new ConfigError("volumeMode Block is not supported by this node");
  if (node && !reaches(volume, node))
    throw new ConfigError("MountVolume.NodeAffinity check failed: no matching NodeSelectorTerms");
  return volume;
}
