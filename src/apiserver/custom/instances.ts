import { isStatus } from "../../kube/index.ts";
import { ownContextFor, type Registry } from "../registry/index.ts";
import type { Served } from "../resources/index.ts";
import { prefixFor, type Storage } from "../storage/index.ts";

export interface InstancesOptions {
  readonly served: Served;
  readonly storage: Storage;
  readonly registry: Registry;
  readonly signal: AbortSignal;
}

/** Deletes that are under way together. */
const atOnce = 32;

/**
 * Deletes all objects of a kind and waits until those that finalizers hold are gone too. What the definition's condition says of it.
 */
export async function removeInstances(options: InstancesOptions): Promise<{ reason: string; message: string }> {
  const { served, storage, registry, signal } = options;
  const cache = storage.of(served.stored);
  const watcher = cache.follow(storage.revision, () => true);
  try {
    const all = cache.under(prefixFor(served.stored));
    for (let i = 0; i < all.length; i += atOnce) {
      await Promise.all(
        all.slice(i, i + atOnce).map(({ object: { metadata } }) =>
          registry
            .remove(ownContextFor(served, metadata.namespace ?? ""), metadata.name, {})
            .catch((error: unknown) => {
              if (!isStatus(error, "NotFound")) throw error;
            }),
        ),
      );
    }
    await storage.caughtUp();
    while (watcher !== "expired" && !watcher.ended && !signal.aborted && cache.size > 0) {
      while (watcher.take()) {
        // Only that something has changed counts.
      }
      if (cache.size > 0) await watcher.more();
    }
  } finally {
    if (watcher !== "expired") cache.forget(watcher);
  }
  return { reason: "InstanceDeletionCompleted", message: "removed all instances" };
}
