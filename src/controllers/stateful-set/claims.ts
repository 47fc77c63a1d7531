import { type Client, type EventRecorder, type Informer, messageOf, unless } from "../../client/index.ts";
import {
  keyOf,
  nameOfKey,
  type OwnerReference,
  type PersistentVolumeClaim,
  type Pod,
  resources,
  semanticEqual,
  type StatefulSet,
} from "../../kube/index.ts";
import { referenceTo } from "../pod-draft.ts";
import { claimsOf } from "./identity.ts";

export interface ClaimContext {
  readonly client: Client;
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly events: EventRecorder;
}

/** The claims of a pod that are on their way out: a new pod waits until they are gone. */
export const leavingClaims = ({ claims }: ClaimContext, set: StatefulSet, ordinal: number): boolean =>
  [...claimsOf(set, ordinal).values()].some(
    (draft) => claims.get(nameOfKey(keyOf(draft)))?.metadata.deletionTimestamp !== undefined,
  );

/** Makes the claims of a pod that are missing. */
export async function makeClaims(
  { client, claims, events }: ClaimContext,
  set: StatefulSet,
  ordinal: number,
  podName: string,
): Promise<void> {
  for (const draft of claimsOf(set, ordinal).values()) {
    if (claims.get(nameOfKey(keyOf(draft)))) continue;
    const ownerReferences = retention(set).deleted ? [referenceTo(set, resources.StatefulSet)] : [];
    const metadata = { ...draft.metadata, ...(ownerReferences.length > 0 ? { ownerReferences } : {}) };
    const about = `create Claim ${draft.metadata.name} Pod ${podName} in StatefulSet ${set.metadata.name}`;
    try {
      const made = await unless(
        client.create(resources.PersistentVolumeClaim, { ...draft, metadata }),
        "AlreadyExists",
      );
      if (made) events.event(set, "Normal", "SuccessfulCreate", `${about} success`);
    } catch (error) {
      events.event(set, "Warning", "FailedCreate", `${about} failed error: ${messageOf(error)}`);
      throw error;
    }
  }
}

/**
 * Makes the owners of a pod's claims what persistentVolumeClaimRetentionPolicy asks (KEP-1847): the set, when they go with it; the pod,
 * when it is `condemned` and they go with it.
 */
export async function ownClaims(
  { client, claims }: ClaimContext,
  set: StatefulSet,
  ordinal: number,
  pod: Pod,
  condemned: boolean,
): Promise<void> {
  const { deleted, scaled } = retention(set);
  for (const draft of claimsOf(set, ordinal).values()) {
    const claim = claims.get(nameOfKey(keyOf(draft)));
    if (!claim) continue;
    const owners = claim.metadata.ownerReferences ?? [];
    const others = owners.filter(({ uid }) => uid !== set.metadata.uid && uid !== pod.metadata.uid);
    const own: OwnerReference[] =
      condemned && scaled
        ? [referenceTo(pod, resources.Pod)]
        : deleted
          ? [referenceTo(set, resources.StatefulSet)]
          : [];
    // What somebody else manages is left to them.
    if (others.some(({ controller }) => controller) || semanticEqual([...others, ...own], owners)) continue;
    const { uid, resourceVersion } = claim.metadata;
    const body = { metadata: { uid, resourceVersion, ownerReferences: [...others, ...own] } };
    const name = nameOfKey(keyOf(claim));
    await unless(client.patch(resources.PersistentVolumeClaim, name, { type: "merge", body }), "NotFound");
  }
}

function retention({ spec }: StatefulSet): { readonly deleted: boolean; readonly scaled: boolean } {
  const { whenDeleted, whenScaled } = spec.persistentVolumeClaimRetentionPolicy ?? {};
  return { deleted: whenDeleted === "Delete", scaled: whenScaled === "Delete" };
}
