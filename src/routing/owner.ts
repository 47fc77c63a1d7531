import type { KubeObject } from "../kube/index.ts";
import type { ObjectRef } from "./model.ts";

/** The reference to an object. */
export function refOf(object: KubeObject): ObjectRef {
  const { namespace, name } = object.metadata;
  return { kind: object.kind, ...(namespace ? { namespace } : {}), name };
}

/** `Ingress shop/web` or `IngressClass fairlead`. */
export function textOf(ref: ObjectRef): string {
  return `${ref.kind} ${ref.namespace ? `${ref.namespace}/` : ""}${ref.name}`;
}

/** Objects oldest first, then by namespace and name: who comes first keeps what both want. */
export function oldestFirst<T extends KubeObject>(objects: readonly T[]): T[] {
  const keyed = objects.map((object) => {
    const { creationTimestamp = "9", namespace = "", name } = object.metadata;
    return { object, key: `${creationTimestamp} ${namespace}/${name}` };
  });
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return keyed.map(({ object }) => object);
}
