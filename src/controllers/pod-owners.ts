import type { Informer } from "../client/index.ts";
import { keyOf, nameOfKey, type KubeObject, type LabelSelector, matchesLabels, type Pod } from "../kube/index.ts";
import { controllerOf } from "./owners.ts";

/** The key of the owner of this kind that manages a pod; undefined when it is another, or is not there. */
export function ownerKeyOf<T extends KubeObject>(owners: Informer<T>, object: KubeObject): string | undefined {
  const reference = controllerOf(object);
  if (reference?.kind !== owners.resource.kind) return undefined;
  const key = keyOf({ metadata: { namespace: object.metadata.namespace ?? "", name: reference.name } });
  return owners.get(nameOfKey(key))?.metadata.uid === reference.uid ? key : undefined;
}

/** The keys of the owners that may want to adopt a pod without a controller. */
export function adoptersOf<T extends KubeObject & { spec: { selector?: LabelSelector } }>(
  owners: Informer<T>,
  pod: Pod,
): string[] {
  if (controllerOf(pod) || pod.metadata.deletionTimestamp) return [];
  return owners
    .list(pod.metadata.namespace)
    .filter(({ spec }) => spec.selector && matchesLabels(spec.selector, pod.metadata.labels))
    .map((owner) => keyOf(owner));
}
