import type { Informer } from "../client/index.ts";
import { keyOf, nameOfKey, type KubeObject, type LabelSelector, matchesLabels, type Pod } from "../kube/index.ts";
import type { Expectations } from "./expectations.ts";
import { controllerOf, uidOf } from "./owners.ts";

/** Objects of one kind that own others. */
export type Owners<T extends KubeObject> = Pick<Informer<T>, "get" | "list"> & {
  readonly resource: { readonly kind: string };
};

/** The key of the owner of this kind that manages a pod; undefined when it is another, or is not there. */
export function ownerKeyOf<T extends KubeObject>(owners: Owners<T>, object: KubeObject): string | undefined {
  const reference = controllerOf(object);
  if (reference?.kind !== owners.resource.kind) return undefined;
  const key = keyOf({ metadata: { namespace: object.metadata.namespace ?? "", name: reference.name } });
  return owners.get(nameOfKey(key))?.metadata.uid === reference.uid ? key : undefined;
}

/** The keys of the owners that may want to adopt a pod without a controller. */
export function adoptersOf<T extends KubeObject & { spec: { selector?: LabelSelector } }>(
  owners: Owners<T>,
  pod: Pod,
): string[] {
  if (controllerOf(pod) || pod.metadata.deletionTimestamp) return [];
  return owners
    .list(pod.metadata.namespace)
    .filter(({ spec }) => spec.selector && matchesLabels(spec.selector, pod.metadata.labels))
    .map((owner) => keyOf(owner));
}

/** Tells expectations which pods of these owners came and went, and wakes each owner, by its key, whose pods changed. */
export function followPods<T extends KubeObject>(
  owners: Owners<T>,
  pods: Pick<Informer<Pod>, "onChange">,
  expectations: Pick<Expectations, "created" | "deleted">,
  wake: (key: string) => void,
): void {
  pods.onChange(({ before, after }) => {
    const [was, is] = [before && ownerKeyOf(owners, before), after && ownerKeyOf(owners, after)];
    if (is && after && !before) expectations.created(is);
    if (was && before && (!after || after.metadata.deletionTimestamp)) expectations.deleted(was, uidOf(before));
    for (const key of new Set([was, is])) if (key) wake(key);
  });
}
