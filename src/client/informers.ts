import type { KubeObject, Resource } from "../kube/index.ts";
import type { Clock, Logger } from "../system/index.ts";
import type { Client, ListQuery } from "./client.ts";
import type { Informer } from "./informer.ts";
import { type IndexedInformer, startIndexedInformer } from "./start-informer.ts";

/** Informers that the parts of one process share: one watch and one cache a kind. */
export interface Informers {
  /** The informer of all objects of a kind, started when it is first asked for. `indexes` are added to those it has. */
  of<T extends KubeObject>(
    resource: Resource<T>,
    indexes?: Readonly<Record<string, (object: T) => readonly string[]>>,
  ): Informer<T>;
  /** The same of objects that have nothing but their metadata: for who looks at many and needs no more. */
  metadataOf(
    resource: Resource,
    indexes?: Readonly<Record<string, (object: KubeObject) => readonly string[]>>,
  ): Informer<KubeObject>;
}

/** Which objects of a kind are looked at, where not all are: so a process needs no right to read the others. */
export interface InformerScope {
  readonly resource: Resource;
  readonly query: Pick<ListQuery, "namespace" | "labelSelector" | "fieldSelector">;
}

/** They stop when the signal aborts. Two parts that use an index of the same name must mean the same by it. */
export function createInformers(
  client: Client,
  { scopes = [], ...options }: { signal: AbortSignal; log: Logger; clock?: Clock; scopes?: readonly InformerScope[] },
): Informers {
  const started = new Map<string, unknown>();
  const queryOf = ({ group, plural }: Resource) =>
    scopes.find(({ resource }) => resource.group === group && resource.plural === plural)?.query;
  const find = <T extends KubeObject>(
    resource: Resource<T>,
    indexes: Readonly<Record<string, (object: T) => readonly string[]>>,
    metadataOnly: boolean,
  ): Informer<T> => {
    const id = `${resource.group}/${resource.plural}${metadataOnly ? " metadata" : ""}`;
    let informer = started.get(id) as IndexedInformer<T> | undefined;
    if (!informer)
      started.set(
        id,
        (informer = startIndexedInformer(client, resource, { ...options, ...queryOf(resource), metadataOnly })),
      );
    for (const [name, index] of Object.entries(indexes)) informer.addIndex(name, index);
    return informer;
  };
  return {
    of: (resource, indexes = {}) => find(resource, indexes, false),
    metadataOf: (resource, indexes = {}) => find(resource, indexes, true),
  };
}
