import { keyOf, type KubeObject } from "../kube/index.ts";

/** `objects`, all of one kind, with those manifests of that kind in place of the ones of the same name. */
export function overlay<T extends KubeObject>(objects: readonly T[], manifests: readonly KubeObject[]): T[] {
  const all = new Map<string, KubeObject & { status?: unknown }>(objects.map((object) => [keyOf(object), object]));
  for (const object of manifests) {
    const before = all.get(keyOf(object));
    // A manifest says nothing of the status: what the cluster has stays.
    const status = (object as { status?: unknown }).status ?? before?.status;
    const metadata = { ...before?.metadata, ...object.metadata };
    all.set(keyOf(object), { ...object, metadata, ...(status === undefined ? {} : { status }) });
  }
  return [...all.values()] as T[];
}
