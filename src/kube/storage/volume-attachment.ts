import { createStrategy } from "../base-strategy.ts";
import type {
  PersistentVolumeSpec,
  VolumeAttachmentSource,
  VolumeAttachmentSpec,
  VolumeAttachmentStatus,
} from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { semanticEqual } from "../values/equal.ts";
import { isDns1123Subdomain } from "../values/names.ts";
import { validateDriverName } from "./csi-driver.ts";

const longestMessage = 1024;
const maxMetadataBytes = 256 * 1024;
const oneSource = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
/** What belongs to a volume that is an object of its own. */
const notInline = ["capacity", "csi", "persistentVolumeReclaimPolicy", "storageClassName", "volumeMode"] as const;

/** A volume that is to be attached to a node. What and where never changes; the attacher writes the status. */
export const volumeAttachmentStrategy = createStrategy(resources.VolumeAttachment, {
  allowUnconditionalUpdate: false,
  statusKeeps: "metadata",
  *validate({ spec }, _context, old) {
    yield* validateSpec(spec);
    if (!old) yield* validateDriverName(spec.attacher, "spec.attacher");
    else if (!semanticEqual(spec, old.spec)) yield fault.invalid("spec", shown(spec), "field is immutable");
  },
  *validateStatus({ status }) {
    if (status) yield* validateStatus(status);
  },
});

/** Upstream shows its internal names. */
function shown({ attacher, nodeName, source }: VolumeAttachmentSpec): object {
  const { persistentVolumeName = null, inlineVolumeSpec = null } = source;
  const Source = { PersistentVolumeName: persistentVolumeName, InlineVolumeSpec: inlineVolumeSpec };
  return { Attacher: attacher, Source, NodeName: nodeName };
}

function* validateSpec({ attacher, source, nodeName }: VolumeAttachmentSpec): Faults {
  if (attacher === "") yield fault.required("spec.attacher");
  yield* validateSource(source, "spec.source");
  yield* invalids("spec.nodeName", nodeName, isDns1123Subdomain(nodeName));
}

function* validateSource(
  { inlineVolumeSpec, persistentVolumeName: name }: VolumeAttachmentSource,
  path: string,
): Faults {
  if (!inlineVolumeSpec && name === undefined) yield fault.required(path, oneSource);
  else if (inlineVolumeSpec && name !== undefined) yield fault.forbidden(path, oneSource);
  else if (inlineVolumeSpec) yield* validateInline(inlineVolumeSpec, `${path}.inlineVolumeSpec`);
  else if (name === "")
    yield fault.required(`${path}.persistentVolumeName`, "must specify non empty persistentVolumeName");
  else if (name !== undefined) yield* invalids(`${path}.persistentVolumeName`, name, isDns1123Subdomain(name));
}

function* validateInline(spec: PersistentVolumeSpec, path: string): Faults {
  for (const field of notInline) {
    if (spec[field] !== undefined)
      yield fault.forbidden(`${path}.${field}`, "may not be specified in the context of inline volumes");
  }
  if (!spec.accessModes?.length) yield fault.required(`${path}.accessModes`);
}

function* validateStatus({ attachmentMetadata = {}, attachError, detachError }: VolumeAttachmentStatus): Faults {
  let size = 0;
  for (const [key, value] of Object.entries(attachmentMetadata))
    size += Buffer.byteLength(key) + Buffer.byteLength(value);
  if (size > maxMetadataBytes) yield fault.tooLong("status.attachmentMetadata", maxMetadataBytes);
  for (const [field, error] of Object.entries({ attachError, detachError })) {
    if (Buffer.byteLength(error?.message ?? "") > longestMessage)
      yield fault.tooLong(`status.${field}.message`, longestMessage);
    yield* validateNonNegative(error?.errorCode, `status.${field}.errorCode`);
  }
}
