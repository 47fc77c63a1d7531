import {
  compareQuantities,
  defaultStorageClassOf,
  resources,
  type KubeObject,
  type PersistentVolumeClaim,
  type Resource,
  type StorageClass,
} from "../../kube/index.ts";
import { forbidden, type Admission } from "../registry/index.ts";
import { keyFor, prefixFor, type Storage } from "../storage/index.ts";

const oldClass = "volume.beta.kubernetes.io/storage-class";

/** A claim that names no class gets the default one; of several the newest, then the first by name (DefaultStorageClass). */
export function defaultStorageClass(storage: Storage): Admission {
  const kind = resources.StorageClass;
  return ({ operation, context, object }) => {
    if (operation !== "CREATE" || context.resource !== resources.PersistentVolumeClaim || !object) return;
    const claim = object as PersistentVolumeClaim;
    if (context.subresource !== "" || claim.spec?.storageClassName !== undefined) return;
    if (claim.metadata.annotations?.[oldClass] !== undefined) return;
    const classes = storage.of(kind).under(prefixFor(kind));
    const chosen = defaultStorageClassOf(classes.map((entry) => entry.object as StorageClass));
    if (chosen) claim.spec = { ...claim.spec, storageClassName: chosen.metadata.name };
  };
}

const protections: ReadonlyMap<Resource, string> = new Map<Resource, string>([
  [resources.PersistentVolumeClaim, "kubernetes.io/pvc-protection"],
  [resources.PersistentVolume, "kubernetes.io/pv-protection"],
  [resources.VolumeAttributesClass, "kubernetes.io/vac-protection"],
]);

/** What is in use does not go before it is let go of (StorageObjectInUseProtection): its controller takes the finalizer off. */
export const storageInUse: Admission = ({ operation, context, object }) => {
  if (operation !== "CREATE" || context.subresource !== "" || !object) return;
  const finalizer = protections.get(context.resource);
  const { finalizers = [] } = object.metadata;
  if (finalizer !== undefined && !finalizers.includes(finalizer))
    object.metadata.finalizers = [...finalizers, finalizer];
};

/** A claim grows only when its class allows it (PersistentVolumeClaimResize). A validating step. */
export function claimResize(storage: Storage): Admission {
  return ({ operation, context, object, old }) => {
    if (operation !== "UPDATE" || context.resource !== resources.PersistentVolumeClaim || context.subresource !== "")
      return;
    const [now, before] = [object, old].map((one: KubeObject | undefined) => one as PersistentVolumeClaim | undefined);
    const wanted = now?.spec?.resources?.requests?.["storage"];
    const had = before?.spec?.resources?.requests?.["storage"];
    if (!now || wanted === undefined || had === undefined || compareQuantities(wanted, had) <= 0) return;
    const refuse = (why: string): never => {
      throw forbidden(context.resource, now.metadata.name, why);
    };
    if (before?.status?.phase !== "Bound") refuse("Only bound persistent volume claims can be expanded");
    const name = now.spec?.storageClassName || now.metadata.annotations?.[oldClass] || "";
    const entry = name ? storage.of(resources.StorageClass).get(keyFor(resources.StorageClass, { name })) : undefined;
    if ((entry?.object as StorageClass | undefined)?.allowVolumeExpansion !== true)
      refuse(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
      );
  };
}
