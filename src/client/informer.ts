import type { KubeObject, ObjectName, Resource } from "../kube/index.ts";
import type { Client, ListQuery } from "./client.ts";
import type { Clock, Logger } from "../system/index.ts";

export interface Change<T> {
  /** Absent for an object that is new. */
  readonly before?: T;
  /** Absent for an object that is gone. */
  readonly after?: T;
}

/** A cache of all objects of one kind, kept up to date by a watch. Its objects are shared: never change one. */
export interface Informer<T extends KubeObject> {
  readonly resource: Resource<T>;
  /** Settles when the cache holds all that existed at the start. */
  readonly synced: Promise<void>;
  get(name: ObjectName): T | undefined;
  list(namespace?: string): readonly T[];
  /** Objects for which the index function `index` gave `value`. */
  by(index: string, value: string): readonly T[];
  /** Called for each change, after the cache has it; for what exists already it is called at once as new. */
  onChange(listener: (change: Change<T>) => void): void;
}

export interface InformerOptions<T extends KubeObject> extends ListQuery {
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Times the back-off. Default: the system's. */
  readonly clock?: Clock;
  readonly indexes?: Readonly<Record<string, (object: T) => readonly string[]>>;
}

export type StartInformer = <T extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  options: InformerOptions<T>,
) => Informer<T>;
