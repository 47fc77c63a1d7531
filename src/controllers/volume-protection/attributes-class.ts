import { startController } from "../../client/index.ts";
import { resources, type PersistentVolume, type PersistentVolumeClaim } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";

/** The finalizer that admission gives new classes of attributes (KEP-3751). */
const finalizer = "kubernetes.io/vac-protection";

/** Lets a class of attributes that is being deleted go when no claim and no volume has it, or is to have it. */
export function startAttributesClassProtection(context: ControllerContext): Component {
  const { client, informers } = context;
  const classes = informers.of(resources.VolumeAttributesClass);
  const claims = informers.of(resources.PersistentVolumeClaim);
  const volumes = informers.of(resources.PersistentVolume);

  const reconcile = async (name: string): Promise<void> => {
    const found = classes.get({ name });
    if (!found?.metadata.deletionTimestamp || !found.metadata.finalizers?.includes(finalizer)) return;
    if (claims.list().some((claim) => classesOf(claim).includes(name))) return;
    if (volumes.list().some((volume) => classOf(volume) === name)) return;
    // Nothing is let go on the word of a cache alone.
    const { items } = await client.list(resources.PersistentVolumeClaim, {});
    if (items.some((claim) => classesOf(claim).includes(name))) return;
    const finalizers = found.metadata.finalizers.filter((one) => one !== finalizer);
    await client.update(resources.VolumeAttributesClass, { ...found, metadata: { ...found.metadata, finalizers } });
  };

  const controller = startController({
    ...context,
    name: "attributes class protection",
    reconcile,
    after: [classes.synced, claims.synced, volumes.synced],
  });
  classes.onChange(({ after }) => {
    if (after?.metadata.deletionTimestamp) controller.enqueue(after.metadata.name);
  });
  claims.onChange(({ before, after }) => {
    const kept = after ? classesOf(after) : [];
    for (const name of before ? classesOf(before) : []) if (!kept.includes(name)) controller.enqueue(name);
  });
  volumes.onChange(({ before, after }) => {
    const name = before && classOf(before);
    if (name && name !== (after && classOf(after))) controller.enqueue(name);
  });
  return controller;
}

const classOf = ({ spec }: PersistentVolume): string | undefined => spec.volumeAttributesClassName;

/** The classes that a claim wants, has, or is changing to. */
function classesOf({ spec, status }: PersistentVolumeClaim): string[] {
  const { currentVolumeAttributesClassName: current, modifyVolumeStatus } = status ?? {};
  const names = [spec.volumeAttributesClassName, current, modifyVolumeStatus?.targetVolumeAttributesClassName];
  return names.filter((name) => name !== undefined);
}
