import type { Client } from "../../client/index.ts";
import {
  keyOf,
  nameOfKey,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type PersistentVolumeClaimStatus,
  resources,
  semanticEqual,
} from "../../kube/index.ts";
import { bindCompleted, boundByController, keepVolume } from "../../scheduler/index.ts";

/**
 * Makes a claim and a volume each other's, in the order in which it can be taken up again after any step: the volume names the
 * claim, then the claim the volume. Throws Conflict when either has changed since it was cached.
 */
export async function bind(client: Client, volume: PersistentVolume, claim: PersistentVolumeClaim): Promise<void> {
  const kept = await keepVolume(client, volume, claim);
  await setVolumePhase(client, kept, { phase: "Bound" });
  const named = await nameVolume(client, claim, kept.metadata.name);
  const { accessModes, capacity } = kept.spec;
  await setClaimStatus(client, named, { phase: "Bound", accessModes: accessModes ?? [], capacity: capacity ?? {} });
}

async function nameVolume(
  client: Client,
  claim: PersistentVolumeClaim,
  volumeName: string,
): Promise<PersistentVolumeClaim> {
  const { resourceVersion, annotations } = claim.metadata;
  if (claim.spec.volumeName === volumeName && annotations?.[bindCompleted] !== undefined) return claim;
  const chosen = claim.spec.volumeName === volumeName ? {} : { [boundByController]: "yes" };
  const body = {
    metadata: { resourceVersion, annotations: { [bindCompleted]: "yes", ...chosen } },
    spec: { volumeName },
  };
  return client.patch(resources.PersistentVolumeClaim, nameOfKey(keyOf(claim)), { type: "merge", body });
}

/** Sets the phase of a volume, and why; does nothing when it is so already. */
export async function setVolumePhase(
  client: Client,
  volume: PersistentVolume,
  { phase, reason, message }: { readonly phase: string; readonly reason?: string; readonly message?: string },
): Promise<PersistentVolume> {
  const { status = {} } = volume;
  if (status.phase === phase && status.message === message) return volume;
  const wanted = { ...status, phase, ...(reason ? { reason } : {}), ...(message ? { message } : {}) };
  if (!reason) delete wanted.reason;
  if (!message) delete wanted.message;
  // When the phase changed is the API's to say.
  delete wanted.lastPhaseTransitionTime;
  return client.updateStatus(resources.PersistentVolume, { ...volume, status: wanted });
}

/** Sets the phase of a claim, and what it has got; does nothing when it is so already. */
export async function setClaimStatus(
  client: Client,
  claim: PersistentVolumeClaim,
  status: PersistentVolumeClaimStatus,
): Promise<PersistentVolumeClaim> {
  const { accessModes: _modes, capacity: _capacity, ...kept } = claim.status ?? {};
  const wanted = { ...(status.phase === "Pending" ? kept : claim.status), ...status };
  if (semanticEqual(wanted, claim.status)) return claim;
  return client.updateStatus(resources.PersistentVolumeClaim, { ...claim, status: wanted });
}
