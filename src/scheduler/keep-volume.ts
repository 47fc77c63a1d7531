import type { Client } from "../client/index.ts";
import { type PersistentVolume, type PersistentVolumeClaim, resources } from "../kube/index.ts";
import { boundByController, isKeptFor, referenceToClaim } from "./volume-match.ts";

/** Has the volume name the claim, so that no other gets it. Throws Conflict when it has changed since it was cached. */
export async function keepVolume(
  client: Client,
  volume: PersistentVolume,
  claim: PersistentVolumeClaim,
): Promise<PersistentVolume> {
  const isKept = isKeptFor(volume, claim);
  if (isKept && volume.spec.claimRef?.uid) return volume;
  const { name, resourceVersion } = volume.metadata;
  // Who named the claim in the volume by hand wants it to stay there.
  const annotations = isKept ? {} : { [boundByController]: "yes" };
  const body = { metadata: { resourceVersion, annotations }, spec: { claimRef: referenceToClaim(claim) } };
  return client.patch(resources.PersistentVolume, { name }, { type: "merge", body });
}
