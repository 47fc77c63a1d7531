import type { Metadata, ObjectMeta } from "./generated/types.ts";

/** Any object of the Kubernetes API. Objects that a cache or a list hands out are shared: copy before you change one. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: Metadata;
}

/** An object as a client writes it: the server fills in what is missing. */
export type Draft<T extends KubeObject> = Omit<T, "metadata" | "apiVersion" | "kind" | "status"> & {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
  status?: unknown;
};

/** Where an object is: `namespace` is absent for cluster-scoped kinds. */
export interface ObjectName {
  readonly namespace?: string;
  readonly name: string;
}

/** `namespace/name`, or `name` for a cluster-scoped object: the key of work queues and caches. */
export function keyOf(object: { metadata: { namespace?: string; name?: string } }): string {
  const { namespace, name = "" } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

/** The reverse of `keyOf`. */
export function nameOfKey(key: string): ObjectName {
  const slash = key.indexOf("/");
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
