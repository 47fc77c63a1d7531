import { createEventRecorder, startController } from "../../client/index.ts";
import { isStatus, keyOf, type PersistentVolume, type PersistentVolumeClaim, resources } from "../../kube/index.ts";
import { boundByController } from "../../scheduler/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { setVolumePhase } from "./bind.ts";
import { claimKeyOf, wasChosen } from "./claims.ts";

/** The annotation names who made the volume, and takes it away again. */
export const provisionedBy = "pv.kubernetes.io/provisioned-by";

/** Says in the phase of each volume whether it is free, kept or left, and does with those that are left what their policy asks. */
export function startVolumePhases(context: ControllerContext): Component {
  const { client, informers } = context;
  const claims = informers.of(resources.PersistentVolumeClaim);
  const volumes = informers.of(resources.PersistentVolume);
  const events = createEventRecorder(client, { ...context, component: "persistentvolume-controller" });

  /** The claim that a volume is kept for; nothing is taken from one on the word of a cache alone. */
  const claimOf = async ({ spec: { claimRef } }: PersistentVolume): Promise<PersistentVolumeClaim | undefined> => {
    const { namespace = "", name = "", uid } = claimRef ?? {};
    const cached = claims.get({ namespace, name });
    if (cached?.metadata.uid === uid) return cached;
    try {
      const claim = await client.get(resources.PersistentVolumeClaim, { namespace, name });
      return claim.metadata.uid === uid ? claim : undefined;
    } catch (error) {
      if (isStatus(error, "NotFound")) return undefined;
      throw error;
    }
  };

  const fail = async (volume: PersistentVolume, reason: string, message: string): Promise<void> => {
    if (volume.status?.phase === "Failed" && volume.status.message === message) return;
    events.event(volume, "Warning", reason, message);
    await setVolumePhase(client, volume, { phase: "Failed", message });
  };

  /** What was kept for a claim that is no more. */
  const reclaim = async (volume: PersistentVolume): Promise<void> => {
    const { phase } = volume.status ?? {};
    const left =
      phase === "Released" || phase === "Failed" ? volume : await setVolumePhase(client, volume, { phase: "Released" });
    // Who made it takes it away.
    if (left.metadata.annotations?.[provisionedBy] !== undefined) return;
    const policy = left.spec.persistentVolumeReclaimPolicy;
    if (policy === "Delete") {
      const why = "no deletable volume plugin matched";
      await fail(
        left,
        "VolumeFailedDelete",
        `error getting deleter volume plugin for volume "${left.metadata.name}": ${why}`,
      );
    } else if (policy === "Recycle")
      await fail(left, "VolumeFailedRecycle", "No recycler plugin found for the volume!");
  };

  /** Lets go of a claim that is bound to another volume. */
  const unbind = async (volume: PersistentVolume): Promise<void> => {
    const { name, resourceVersion } = volume.metadata;
    const body = wasChosen(volume)
      ? { metadata: { resourceVersion, annotations: { [boundByController]: null } }, spec: { claimRef: null } }
      : { metadata: { resourceVersion }, spec: { claimRef: { uid: null } } };
    const left = await client.patch(resources.PersistentVolume, { name }, { type: "merge", body });
    await setVolumePhase(client, left, { phase: "Available" });
  };

  const reconcile = async (name: string): Promise<void> => {
    const volume = volumes.get({ name });
    if (!volume) return;
    if (!volume.spec.claimRef?.uid) {
      await setVolumePhase(client, volume, { phase: "Available" });
      return;
    }
    const claim = await claimOf(volume);
    if (!claim) return reclaim(volume);
    const bound = claim.spec.volumeName;
    if (bound === name) await setVolumePhase(client, volume, { phase: "Bound" });
    else if (bound && volume.metadata.annotations?.[provisionedBy] !== undefined) await reclaim(volume);
    else if (bound) await unbind(volume);
    // Else the claim's controller has it in hand.
  };

  const controller = startController({
    ...context,
    name: "volume phases",
    reconcile,
    after: [claims.synced, volumes.synced],
  });
  volumes.onChange(({ after }) => {
    if (after) controller.enqueue(after.metadata.name);
  });
  claims.onChange(({ before, after }) => {
    const claim = after ?? before;
    if (!claim) return;
    const key = keyOf(claim);
    if (claim.spec.volumeName) controller.enqueue(claim.spec.volumeName);
    for (const volume of volumes.list()) if (claimKeyOf(volume) === key) controller.enqueue(volume.metadata.name);
  });
  return controller;
}
