import type { Informer, Informers } from "../../client/index.ts";
import { keyOf, type KubeObject, nameOfKey, type OwnerReference, type Resource, resources } from "../../kube/index.ts";

/** An object and its kind. */
export interface Item {
  readonly resource: Resource;
  readonly object: KubeObject;
}

/** Who owns whom, as the caches of all kinds know it. */
export interface Graph {
  readonly informers: readonly Informer<KubeObject>[];
  /** Takes in a kind that was defined meanwhile. */
  add(informers: Informers, resource: Resource): Informer<KubeObject>;
  /** Forgets a kind that `add` has taken in. */
  remove(resource: Resource): void;
  /** The object that a queue key names, if it is there. */
  find(id: string): Item | undefined;
  /** All that name the object among their owners. */
  dependentsOf(uid: string): Item[];
  /** The kind that an owner reference names; undefined when it isn't served here. */
  kindOf(owner: OwnerReference): Resource | undefined;
  /** The cached owner; undefined when the cache doesn't have it, or has another of its name. */
  ownerOf(object: KubeObject, owner: OwnerReference): Item | undefined;
  /** True when the cached owner is in another namespace than the object, so that it can't own it. */
  isElsewhere(object: KubeObject, owner: OwnerReference): boolean;
}

const indexName = "owner uid";
const index = {
  [indexName]: ({ metadata }: KubeObject): readonly string[] => [
    ...new Set((metadata.ownerReferences ?? []).map(({ uid }) => uid)),
  ],
};

/** Kinds that may own or be owned: all but Events, which come and go on their own. */
const kinds = (Object.values(resources) as Resource[]).filter(({ kind }) => kind !== "Event");

/** Of kinds that no other part reads as a whole there may be many, and large ones. */
function informerOf(informers: Informers, resource: Resource): Informer<KubeObject> {
  return resource === resources.ConfigMap ? informers.metadataOf(resource, index) : informers.of(resource, index);
}

/** Key of an object of any kind. */
export const idOf = ({ resource, object }: Item): string => `${resource.plural}.${resource.group} ${keyOf(object)}`;

export function createGraph(informers: Informers): Graph {
  const all = kinds.map((resource) => informerOf(informers, resource));
  const byName = new Map(all.map((informer) => [`${informer.resource.plural}.${informer.resource.group}`, informer]));
  const byKind = new Map(kinds.map((resource) => [`${resource.group} ${resource.kind}`, resource]));
  const kindOf = ({ apiVersion, kind }: OwnerReference) => byKind.get(`${groupOf(apiVersion)} ${kind}`);
  return {
    informers: all,
    add(own, resource) {
      const informer = own.metadataOf(resource, index);
      all.push(informer);
      byName.set(nameOf(resource), informer);
      byKind.set(`${resource.group} ${resource.kind}`, resource);
      return informer;
    },
    remove(resource) {
      const informer = byName.get(nameOf(resource));
      if (informer) all.splice(all.indexOf(informer), 1);
      byName.delete(nameOf(resource));
      byKind.delete(`${resource.group} ${resource.kind}`);
    },
    kindOf,
    find(id) {
      const [name = "", key = ""] = id.split(" ");
      const informer = byName.get(name);
      const object = informer?.get(nameOfKey(key));
      return informer && object ? { resource: informer.resource, object } : undefined;
    },
    dependentsOf: (uid) =>
      all.flatMap((informer) => informer.by(indexName, uid).map((object) => ({ resource: informer.resource, object }))),
    ownerOf(object, owner) {
      const resource = kindOf(owner);
      const found =
        resource && byName.get(`${resource.plural}.${resource.group}`)?.get(ownerName(resource, object, owner));
      return resource && found?.metadata.uid === owner.uid ? { resource, object: found } : undefined;
    },
    isElsewhere({ metadata }, owner) {
      const resource = kindOf(owner);
      if (!resource?.namespaced) return false;
      const informer = byName.get(nameOf(resource));
      const found = informer?.list().find((one) => one.metadata.uid === owner.uid);
      return found !== undefined && found.metadata.namespace !== metadata.namespace;
    },
  };
}

const nameOf = ({ plural, group }: Resource): string => `${plural}.${group}`;

/** Where the owner of an object is: in the object's own namespace, or in none. */
export function ownerName(resource: Resource, { metadata }: KubeObject, { name }: OwnerReference) {
  return resource.namespaced && metadata.namespace ? { namespace: metadata.namespace, name } : { name };
}

const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "");
