import type { KubeObject, Resource } from "../kube/index.ts";
import type { Clock, Logger } from "../system/index.ts";
import type { Client } from "./client.ts";
import type { Informer } from "./informer.ts";
import { type IndexedInformer, startIndexedInformer } from "./start-informer.ts";

/** Informers that the parts of one process share: one watch and one cache a kind. */
export interface Informers {
  /** The informer of all objects of a kind, started when it is first asked for. `indexes` are added to those it has. */
  of<T extends KubeObject>(
    resource: Resource<T>,
    indexes?: Readonly<Record<string, (object: T) => readonly string[]>>,
  ): Informer<T>;
}

/** They stop when the signal aborts. Two parts that use an index of the same name must mean the same by it. */
export function createInformers(
  client: Client,
  options: { signal: AbortSignal; log: Logger; clock?: Clock },
): Informers {
  const started = new Map<string, unknown>();
  return {
    of<T extends KubeObject>(
      resource: Resource<T>,
      indexes: Readonly<Record<string, (object: T) => readonly string[]>> = {},
    ): Informer<T> {
      const id = `${resource.group}/${resource.plural}`;
      let informer = started.get(id) as IndexedInformer<T> | undefined;
      if (!informer) started.set(id, (informer = startIndexedInformer(client, resource, options)));
      for (const [name, index] of Object.entries(indexes)) informer.addIndex(name, index);
      return informer;
    },
  };
}
