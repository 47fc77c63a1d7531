import { setMaxListeners } from "node:events";
import { isStatus, keyOf, type KubeObject, type Resource, StatusError } from "../kube/index.ts";
import { type Logger, systemClock } from "../system/index.ts";
import { backOff } from "./back-off.ts";
import { createCache } from "./cache.ts";
import type { Client, ListQuery } from "./client.ts";
import { deepFreeze } from "./freeze.ts";
import { messageOf } from "./outcomes.ts";
import type { Change, Informer, InformerOptions, StartInformer } from "./informer.ts";

const delays = { first: 50, most: 30_000 };
const pageSize = 500;

/** An informer to which indexes may be added later. */
export interface IndexedInformer<T extends KubeObject> extends Informer<T> {
  /** Nothing happens when there is an index of that name. */
  addIndex(name: string, index: (object: T) => readonly string[]): void;
}

/**
 * Starts to mirror a collection: it streams the state (KEP-3157) or, from a server that can't, lists it in pages; then it
 * follows the changes, resumes from the last version it saw, and begins anew when that version is gone from the server.
 */
export const startInformer: StartInformer = (client, resource, options) =>
  startIndexedInformer(client, resource, options);

export function startIndexedInformer<T extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  options: InformerOptions<T>,
): IndexedInformer<T> {
  const { signal } = options;
  // One signal stops many parts: that is no leak.
  setMaxListeners(0, signal);
  const log = options.log.child({ informer: resource.plural });
  const cache = createCache<T>(options.indexes);
  const listeners: ((change: Change<T>) => void)[] = [];
  const lean = options.metadataOnly ? withoutManagers<T> : (object: T) => object;
  const keep = (object: T): T => (process.env["NODE_ENV"] === "test" ? deepFreeze(lean(object)) : lean(object));

  const tell = (listener: (change: Change<T>) => void, change: Change<T>): void => {
    try {
      listener(change);
    } catch (error) {
      log.error({ error: messageOf(error), key: keyOf((change.after ?? change.before) as T) }, "a listener failed");
    }
  };
  const publish = (changes: readonly Change<T>[]): void => {
    for (const change of changes) for (const listener of listeners) tell(listener, change);
  };

  const synced = mirror(client, resource, options, log, {
    replace: (objects) => publish(cache.replace(Array.from(objects, keep))),
    set: (object) => publish(cache.set(keep(object))),
    delete: (object) => publish(cache.delete(object)),
  });
  // Nobody need wait for it; it rejects only when the signal aborts first.
  synced.catch(() => {});

  return {
    resource,
    synced,
    get: (name) => cache.get(name),
    list: (namespace) => cache.list(namespace),
    by: (index, value) => cache.by(index, value),
    addIndex: (name, index) => cache.addIndex(name, index),
    onChange(listener) {
      if (signal.aborted) return;
      listeners.push(listener);
      for (const after of cache.list()) tell(listener, { after });
    },
  };
}

/** Who manages which fields is most of the metadata, and nothing to who wants no fields. */
function withoutManagers<T extends KubeObject>(object: T): T {
  const { managedFields: _managedFields, ...metadata } = object.metadata;
  return { ...object, metadata };
}

interface Target<T> {
  replace(objects: Iterable<T>): void;
  set(object: T): void;
  delete(object: T): void;
}

/** Keeps `target` like the collection until the signal aborts. Settles when it is so for the first time. */
function mirror<T extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  options: InformerOptions<T>,
  log: Logger,
  target: Target<T>,
): Promise<void> {
  const { signal, clock = systemClock } = options;
  const query: ListQuery = queryOf(options);
  return new Promise((resolve, reject) => {
    /** The newest version that `target` shows; undefined: begin anew. */
    let version: string | undefined;
    let canStream = true;
    let failures = 0;

    const begun = (at: string): void => {
      version = at;
      resolve();
    };

    const follow = async (from: string | undefined): Promise<void> => {
      let initial: Map<string, T> | undefined = from === undefined ? new Map() : undefined;
      const where = from === undefined ? { sendInitialEvents: true } : { resourceVersion: from };
      for await (const event of client.watch(resource, { ...query, ...where, signal })) {
        if (signal.aborted) return;
        if (event.type === "BOOKMARK") {
          if (initial && event.initial) {
            target.replace(initial.values());
            initial = undefined;
            begun(event.resourceVersion);
          } else if (!initial) version = event.resourceVersion;
        } else if (initial) {
          if (event.type === "DELETED") initial.delete(keyOf(event.object));
          else initial.set(keyOf(event.object), event.object);
          continue;
        } else {
          if (event.type === "DELETED") target.delete(event.object);
          else target.set(event.object);
          version = event.object.metadata.resourceVersion ?? version;
        }
        failures = 0;
      }
    };

    const listAll = async (): Promise<void> => {
      const objects: T[] = [];
      let page = await client.list(resource, { ...query, limit: pageSize });
      objects.push(...page.items);
      while (page.continue) {
        page = await client.list(resource, { ...query, limit: pageSize, continue: page.continue });
        objects.push(...page.items);
      }
      target.replace(objects);
      begun(page.resourceVersion);
    };

    const run = async (): Promise<void> => {
      while (!signal.aborted) {
        let failure: unknown;
        const before = version;
        try {
          if (version === undefined && !canStream) await listAll();
          await follow(version);
        } catch (error) {
          failure = error;
        }
        if (signal.aborted) break;
        if (isStatus(failure, "Expired", "Gone") || isFuture(failure)) {
          version = undefined;
          if (before !== undefined) continue;
        } else if (before === undefined && canStream && refusesStream(failure)) {
          canStream = false;
          continue;
        }
        // A watch that brought something and ended is renewed at once; one that brought nothing waits a little.
        if (failure === undefined && version !== before) continue;
        failures++;
        if (failure !== undefined) log.warn({ error: messageOf(failure), failures }, "watch failed; trying again");
        await backOff(clock, failures, delays, signal);
      }
    };

    run()
      .catch(() => {})
      .finally(() => reject(signal.reason as Error));
  });
}

/** True when the server has never reached the version we know: it was set back, from a backup perhaps. */
const isFuture = (error: unknown): boolean =>
  error instanceof StatusError &&
  (error.status.details?.causes ?? []).some(({ reason }) => reason === "ResourceVersionTooLarge");

/** True for the answers of a server that doesn't know `sendInitialEvents`. */
function refusesStream(error: unknown): boolean {
  return error instanceof StatusError && [400, 405, 406, 415, 422].includes(error.code);
}

function queryOf({ namespace, labelSelector, fieldSelector, metadataOnly }: ListQuery): ListQuery {
  return {
    ...(metadataOnly ? { metadataOnly } : {}),
    ...(namespace === undefined ? {} : { namespace }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}
