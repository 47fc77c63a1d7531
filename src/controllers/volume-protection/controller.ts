import { startController } from "../../client/index.ts";
import { keyOf, nameOfKey, resources, type PersistentVolumeClaim, type Pod } from "../../kube/index.ts";
import { claimNamesOf } from "../../scheduler/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";

/** Finalizers that admission gives new claims and volumes. */
const claimFinalizer = "kubernetes.io/pvc-protection";
const volumeFinalizer = "kubernetes.io/pv-protection";

/** Lets a claim that is being deleted go when no pod on a node uses it any more. */
export function startClaimProtection(context: ControllerContext): Component {
  const { client, informers } = context;
  const claims = informers.of(resources.PersistentVolumeClaim);
  const pods = informers.of(resources.Pod);

  const isUsed = (claim: PersistentVolumeClaim, all: readonly Pod[]): boolean =>
    all.some((pod) => isOnNode(pod) && claimNamesOf(pod).includes(claim.metadata.name));

  const reconcile = async (key: string): Promise<void> => {
    const { namespace = "", name } = nameOfKey(key);
    const claim = claims.get({ namespace, name });
    if (!claim?.metadata.deletionTimestamp || !claim.metadata.finalizers?.includes(claimFinalizer)) return;
    if (isUsed(claim, pods.list(namespace))) return;
    // Nothing is let go on the word of a cache alone.
    const { items } = await client.list(resources.Pod, { namespace });
    if (!isUsed(claim, items)) await client.update(resources.PersistentVolumeClaim, without(claim, claimFinalizer));
  };

  const controller = startController({
    ...context,
    name: "claim protection",
    reconcile,
    after: [claims.synced, pods.synced],
  });
  claims.onChange(({ after }) => {
    if (after?.metadata.deletionTimestamp) controller.enqueue(keyOf(after));
  });
  pods.onChange(({ before, after }) => {
    if (!before || (after && isOnNode(after))) return;
    const { namespace = "" } = before.metadata;
    for (const name of claimNamesOf(before)) controller.enqueue(keyOf({ metadata: { namespace, name } }));
  });
  return controller;
}

/** Lets a volume that is being deleted go when no claim is bound to it any more. */
export function startVolumeProtection(context: ControllerContext): Component {
  const { client, informers } = context;
  const volumes = informers.of(resources.PersistentVolume);

  const reconcile = async (name: string): Promise<void> => {
    const volume = volumes.get({ name });
    if (!volume?.metadata.deletionTimestamp || !volume.metadata.finalizers?.includes(volumeFinalizer)) return;
    if (volume.status?.phase !== "Bound")
      await client.update(resources.PersistentVolume, without(volume, volumeFinalizer));
  };

  const controller = startController({ ...context, name: "volume protection", reconcile, after: [volumes.synced] });
  volumes.onChange(({ after }) => {
    if (after?.metadata.deletionTimestamp) controller.enqueue(after.metadata.name);
  });
  return controller;
}

/** A pod uses what it names from when it has a node until it has ended. */
function isOnNode({ spec, status }: Pod): boolean {
  return Boolean(spec.nodeName) && status?.phase !== "Succeeded" && status?.phase !== "Failed";
}

function without<T extends { metadata: { finalizers?: string[] } }>(object: T, finalizer: string): T {
  const finalizers = object.metadata.finalizers?.filter((one) => one !== finalizer) ?? [];
  return { ...object, metadata: { ...object.metadata, finalizers } };
}
