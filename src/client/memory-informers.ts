import { keyOf, type KubeObject, type Resource } from "../kube/index.ts";
import { createCache, type Cache } from "./cache.ts";
import type { Change, Informer } from "./informer.ts";
import type { Informers } from "./informers.ts";

/** Informers of objects that come from no cluster: from files, for example. */
export interface MemoryInformers extends Informers {
  /** These are all objects of the kind from now on. One that changed has another uid or resourceVersion. */
  replace<T extends KubeObject>(resource: Resource<T>, objects: readonly T[]): void;
}

interface Kind<T extends KubeObject> {
  readonly cache: Cache<T>;
  readonly listeners: ((change: Change<T>) => void)[];
}

/** All are empty, and in step, from the beginning. */
export function createMemoryInformers(): MemoryInformers {
  const kinds = new Map<string, unknown>();
  const kindOf = <T extends KubeObject>({ group, plural }: Resource<T>): Kind<T> => {
    const id = `${group}/${plural}`;
    let kind = kinds.get(id) as Kind<T> | undefined;
    if (!kind) kinds.set(id, (kind = { cache: createCache(), listeners: [] }));
    return kind;
  };
  const informerOf = <T extends KubeObject>(
    resource: Resource<T>,
    indexes: Readonly<Record<string, (object: T) => readonly string[]>>,
  ): Informer<T> => {
    const { cache, listeners } = kindOf(resource);
    for (const [name, index] of Object.entries(indexes)) cache.addIndex(name, index);
    return {
      resource,
      synced: Promise.resolve(),
      get: (name) => cache.get(name),
      list: (namespace) => cache.list(namespace),
      by: (index, value) => cache.by(index, value),
      onChange(listener) {
        listeners.push(listener);
        for (const after of cache.list()) listener({ after });
      },
    };
  };
  return {
    of: (resource, indexes = {}) => informerOf(resource, indexes),
    metadataOf: (resource, indexes = {}) => informerOf(resource, indexes),
    replace(resource, objects) {
      const { cache, listeners } = kindOf(resource);
      const unique = new Map(objects.map((object) => [keyOf(object), object]));
      for (const change of cache.replace(unique.values())) for (const listener of listeners) listener(change);
    },
  };
}
