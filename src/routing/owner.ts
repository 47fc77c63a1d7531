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

/** Orders objects oldest first, then by namespace and name: who comes first keeps what both want. */
export function oldestFirst(a: KubeObject, b: KubeObject): number {
  const key = (each: KubeObject): string =>
    `${each.metadata.creationTimestamp ?? "9"} ${each.metadata.namespace ?? ""}/${each.metadata.name}`;
  const [left, right] = [key(a), key(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}
