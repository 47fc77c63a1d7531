import {
  apiVersionOf,
  definitionOf,
  type Draft,
  isStatus,
  keyOf,
  type KubeObject,
  nameOfKey,
  type Resource,
} from "../kube/index.ts";
import type { Client, WriteOptions } from "./client.ts";
import { unless } from "./outcomes.ts";
import { threeWayPatch } from "./three-way-patch.ts";

/** Where `kubectl apply` keeps what it was given last, so that the next time it can tell what was taken out. */
export const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";

const attempts = 5;

/** kubectl's client-side apply: creates the object, or patches it with what changed between last time, now and the draft. */
export async function applyThreeWay<T extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  draft: Draft<T>,
  options?: WriteOptions,
): Promise<T> {
  const name = nameOfKey(keyOf(draft));
  const wanted = withAnnotation(resource, draft);
  for (let attempt = 1; ; attempt++) {
    try {
      const current = await unless(client.get(resource, name), "NotFound");
      if (!current) return await client.create(resource, wanted, options);
      const last = current.metadata.annotations?.[lastAppliedAnnotation];
      const body = threeWayPatch(resource, last ? (JSON.parse(last) as object) : undefined, wanted, current);
      if (!body) return current;
      // Of custom resources nobody knows how lists are merged: servers take only merge patches of them (415 otherwise).
      const type = definitionOf(resource) ? "strategic" : "merge";
      return await client.patch(resource, name, { type, body }, options);
    } catch (error) {
      // Someone created, deleted or changed it between our look and our write.
      if (attempt === attempts || !isStatus(error, "Conflict", "AlreadyExists", "NotFound")) throw error;
    }
  }
}

function withAnnotation<T extends KubeObject>(resource: Resource<T>, draft: Draft<T>): Draft<T> {
  const { [lastAppliedAnnotation]: _, ...annotations } = draft.metadata.annotations ?? {};
  const plain = {
    ...draft,
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    metadata: { ...draft.metadata, annotations },
  };
  const text = `${JSON.stringify(plain)}\n`;
  return { ...plain, metadata: { ...plain.metadata, annotations: { ...annotations, [lastAppliedAnnotation]: text } } };
}
