import { resources } from "../kube/index.ts";
import type { Store } from "../store/index.ts";
import type { Metrics } from "../system/index.ts";
import type { Storage } from "./storage/index.ts";

/** Upper bounds in seconds: from a fast disk to one that is worn out. */
const buckets = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.512, 2, 8];

/** Tells what is stored. */
export function tellOfStorage(metrics: Metrics, storage: Storage, store: Store): void {
  const objects = metrics.gauge("apiserver_storage_objects", "Stored objects, by resource.", ["resource"]);
  for (const resource of Object.values(resources)) {
    const name = resource.group ? `${resource.plural}.${resource.group}` : resource.plural;
    objects(name).from(() => storage.of(resource).size);
  }
  metrics
    .gauge("fairlead_store_revision", "The newest revision.")()
    .from(() => store.revision());
  metrics
    .gauge("fairlead_store_compacted_revision", "The oldest revision that can still be read.")()
    .from(() => store.compacted());
}

/** The same store, whose writes are timed: from the wish to the acknowledgement, the wait for others included. */
export function timed(store: Store, metrics: Metrics): Store {
  const took = metrics.histogram(
    "fairlead_store_write_duration_seconds",
    "Time until a write was acknowledged, which it is when it is on disk.",
    [],
    buckets,
  )();
  return {
    ...store,
    async write(compare, operations) {
      const begun = performance.now();
      const result = await store.write(compare, operations);
      took.observe((performance.now() - begun) / 1000);
      return result;
    },
  };
}
