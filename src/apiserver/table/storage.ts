import type {
  CSIDriver,
  CSINode,
  PersistentVolume,
  PersistentVolumeClaim,
  StorageClass,
  VolumeAttachment,
  VolumeAttributesClass,
} from "../../kube/index.ts";
import { ageColumn, ageOf, boolean, integer, nameColumn, text, wide, type Printer } from "./columns.ts";

const modeNames: Readonly<Record<string, string>> = {
  ReadWriteOnce: "RWO",
  ReadOnlyMany: "ROX",
  ReadWriteMany: "RWX",
  ReadWriteOncePod: "RWOP",
};

/** In this order, each once. */
const accessModes = (modes: readonly string[] | undefined): string =>
  Object.entries(modeNames)
    .flatMap(([mode, short]) => (modes?.includes(mode) ? [short] : []))
    .join(",");

const oldClass = "volume.beta.kubernetes.io/storage-class";
const volumeModeColumn = wide("VolumeMode", "Filesystem or Block.");
const attributesColumn = text("VolumeAttributesClass", "The class of its attributes.");

export const persistentVolumePrinter: Printer<PersistentVolume> = {
  columns: [
    nameColumn,
    text("Capacity", "How much it holds."),
    text("Access Modes", "How it may be mounted."),
    text("Reclaim Policy", "What becomes of it without its claim."),
    text("Status", "Whether it is bound."),
    text("Claim", "The claim that it is bound to."),
    text("StorageClass", "The class it is of."),
    attributesColumn,
    text("Reason", "Why it is in this state."),
    ageColumn,
    volumeModeColumn,
  ],
  cells: (volume, now) => {
    const { spec, status, metadata } = volume;
    return [
      metadata.name,
      spec.capacity?.["storage"] ?? "0",
      accessModes(spec.accessModes),
      spec.persistentVolumeReclaimPolicy ?? "",
      metadata.deletionTimestamp ? "Terminating" : (status?.phase ?? ""),
      spec.claimRef ? `${spec.claimRef.namespace ?? ""}/${spec.claimRef.name ?? ""}` : "",
      metadata.annotations?.[oldClass] ?? spec.storageClassName ?? "",
      spec.volumeAttributesClassName ?? "<unset>",
      status?.reason ?? "",
      ageOf(volume, now),
      spec.volumeMode ?? "<unset>",
    ];
  },
};

export const persistentVolumeClaimPrinter: Printer<PersistentVolumeClaim> = {
  columns: [
    nameColumn,
    text("Status", "Whether it is bound."),
    text("Volume", "The volume that it is bound to."),
    text("Capacity", "How much that holds."),
    text("Access Modes", "How it may be mounted."),
    text("StorageClass", "The class it asks for."),
    attributesColumn,
    ageColumn,
    volumeModeColumn,
  ],
  cells: (claim, now) => {
    const { spec, status, metadata } = claim;
    const bound = Boolean(spec.volumeName);
    return [
      metadata.name,
      metadata.deletionTimestamp ? "Terminating" : (status?.phase ?? ""),
      spec.volumeName ?? "",
      bound ? (status?.capacity?.["storage"] ?? "0") : "",
      bound ? accessModes(status?.accessModes) : "",
      metadata.annotations?.[oldClass] ?? spec.storageClassName ?? "",
      spec.volumeAttributesClassName ?? "<unset>",
      ageOf(claim, now),
      spec.volumeMode ?? "<unset>",
    ];
  },
};

const isDefault = (annotations: Readonly<Record<string, string>> = {}): boolean =>
  ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"].some(
    (name) => annotations[name] === "true",
  );

export const storageClassPrinter: Printer<StorageClass> = {
  columns: [
    nameColumn,
    text("Provisioner", "What makes its volumes."),
    text("ReclaimPolicy", "What becomes of a volume without its claim."),
    text("VolumeBindingMode", "When a volume is made."),
    text("AllowVolumeExpansion", "Volumes may grow."),
    ageColumn,
  ],
  cells: (one, now) => [
    isDefault(one.metadata.annotations) ? `${one.metadata.name} (default)` : one.metadata.name,
    one.provisioner,
    one.reclaimPolicy ?? "Delete",
    one.volumeBindingMode ?? "Immediate",
    one.allowVolumeExpansion ?? false,
    ageOf(one, now),
  ],
};

export const volumeAttributesClassPrinter: Printer<VolumeAttributesClass> = {
  columns: [nameColumn, text("DriverName", "The driver that it is for."), ageColumn],
  cells: (one, now) => [one.metadata.name, one.driverName, ageOf(one, now)],
};

export const volumeAttachmentPrinter: Printer<VolumeAttachment> = {
  columns: [
    nameColumn,
    { ...text("Attacher", "What attaches it."), format: "name" },
    text("PV", "The volume."),
    text("Node", "The node."),
    boolean("Attached", "It is attached."),
    ageColumn,
  ],
  cells: (one, now) => [
    one.metadata.name,
    one.spec.attacher,
    one.spec.source.persistentVolumeName ?? "",
    one.spec.nodeName,
    one.status?.attached ?? false,
    ageOf(one, now),
  ],
};

export const csiDriverPrinter: Printer<CSIDriver> = {
  columns: [
    nameColumn,
    boolean("AttachRequired", "Its volumes are attached before they are mounted."),
    boolean("PodInfoOnMount", "It is told of the pod."),
    boolean("StorageCapacity", "It tells how much room there is."),
    text("TokenRequests", "Audiences of the tokens that it is given."),
    boolean("RequiresRepublish", "It is asked again from time to time."),
    text("Modes", "Lifecycles of volumes that it has."),
    ageColumn,
  ],
  cells: (one, now) => [
    one.metadata.name,
    one.spec.attachRequired ?? true,
    one.spec.podInfoOnMount ?? false,
    one.spec.storageCapacity ?? false,
    one.spec.tokenRequests?.map(({ audience }) => audience).join(",") ?? "<unset>",
    one.spec.requiresRepublish ?? false,
    one.spec.volumeLifecycleModes?.join(",") || "<none>",
    ageOf(one, now),
  ],
};

export const csiNodePrinter: Printer<CSINode> = {
  columns: [nameColumn, integer("Drivers", "How many drivers the node has."), ageColumn],
  cells: (one, now) => [one.metadata.name, one.spec.drivers.length, ageOf(one, now)],
};
