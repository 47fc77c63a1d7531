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
  return [...createOldestFirst<T>()(objects)];
}

/** `oldestFirst` of one list after the other: it costs a look at each object. The same list while the objects are the same. */
export function createOldestFirst<T extends KubeObject>(): (objects: readonly T[]) => readonly T[] {
  const keys = new Map<T, string>();
  let sorted: readonly T[] = [];
  const keyOf = (object: T): string => keys.get(object) ?? "";
  const compare = (a: T, b: T): number => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0);
  return (objects) => {
    const came = objects.filter((object) => !keys.has(object));
    if (came.length === 0 && objects.length === sorted.length) return sorted;
    const there = new Set(objects);
    for (const object of sorted) if (!there.has(object)) keys.delete(object);
    for (const object of came) {
      const { creationTimestamp = "9", namespace = "", name } = object.metadata;
      keys.set(object, `${creationTimestamp} ${namespace}/${name}`);
    }
    came.sort(compare);
    sorted = merged(
      sorted.filter((object) => there.has(object)),
      came,
      compare,
    );
    return sorted;
  };
}

/** Two sorted lists as one. */
function merged<T>(some: readonly T[], others: readonly T[], compare: (a: T, b: T) => number): T[] {
  const all: T[] = [];
  let at = 0;
  for (const other of others) {
    for (; at < some.length && compare(some[at] as T, other) <= 0; at++) all.push(some[at] as T);
    all.push(other);
  }
  return [...all, ...some.slice(at)];
}
