import { type Client, unless } from "../client/index.ts";
import {
  apiVersionOf,
  type KubeObject,
  type LabelSelector,
  matchesLabels,
  nameOfKey,
  keyOf,
  type OwnerReference,
  type Resource,
} from "../kube/index.ts";

/** The reference to the one owner that manages the object. */
export const controllerOf = (object: KubeObject): OwnerReference | undefined =>
  object.metadata.ownerReferences?.find(({ controller }) => controller === true);

/** The uid of an object that the server has stored. */
export const uidOf = ({ metadata }: KubeObject): string => metadata.uid ?? "";

/** The reference that makes `owner` the controller of an object. */
export function controllerReference(owner: KubeObject): OwnerReference {
  const { name, uid = "" } = owner.metadata;
  const { apiVersion, kind } = owner;
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/**
 * Index of the objects that a controller has to look at: by the uid of their controller, and those that have none by
 * their namespace.
 */
export const controllerIndex = {
  controller: (object: KubeObject): readonly string[] => [
    controllerOf(object)?.uid ?? `orphan in ${object.metadata.namespace ?? ""}`,
  ],
};

/** Value under which `controllerIndex` has the objects without a controller. */
export const orphansIn = (namespace: string | undefined): string => `orphan in ${namespace ?? ""}`;

/** What to do with objects that an owner may manage: the ones it keeps, those to be taken on and those to be let go. */
export interface Claim<T> {
  readonly kept: readonly T[];
  readonly adopt: readonly T[];
  readonly release: readonly T[];
}

/** Decides by the selector, as client-go's ControllerRefManager: what is on its way out is neither adopted nor released. */
export function claimOf<T extends KubeObject>(
  owner: KubeObject,
  selector: LabelSelector,
  owned: readonly T[],
  orphans: readonly T[],
): Claim<T> {
  const selected = (object: T) => matchesLabels(selector, object.metadata.labels);
  const leaving = owner.metadata.deletionTimestamp !== undefined;
  return {
    kept: owned.filter(selected),
    release: leaving ? [] : owned.filter((object) => !selected(object)),
    adopt: leaving ? [] : orphans.filter((object) => selected(object) && !object.metadata.deletionTimestamp),
  };
}

/** Carries out a claim and returns all that the owner manages then. */
export async function carryOut<T extends KubeObject, O extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  ownerResource: Resource<O>,
  owner: O,
  claim: Claim<T>,
): Promise<T[]> {
  const result = [...claim.kept];
  for (const object of claim.release) {
    const rest = (object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid);
    await setOwners(client, resource, object, rest);
  }
  if (claim.adopt.length === 0) return result;
  // The cache may be old: adopt nothing for an owner that is gone or is not the same any more.
  const live = await client.get(ownerResource, nameOfKey(keyOf(owner)));
  if (live.metadata.uid !== owner.metadata.uid || live.metadata.deletionTimestamp) return result;
  const reference = {
    ...controllerReference(owner),
    apiVersion: apiVersionOf(ownerResource),
    kind: ownerResource.kind,
  };
  for (const object of claim.adopt) {
    const adopted = await setOwners(client, resource, object, [...(object.metadata.ownerReferences ?? []), reference]);
    if (adopted) result.push(adopted);
  }
  return result;
}

async function setOwners<T extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  object: T,
  ownerReferences: readonly OwnerReference[],
): Promise<T | undefined> {
  const { uid, resourceVersion } = object.metadata;
  const body = { metadata: { uid, resourceVersion, ownerReferences } };
  // Gone, or another of its name is there now.
  return unless(client.patch(resource, nameOfKey(keyOf(object)), { type: "merge", body }), "NotFound", "Invalid");
}
