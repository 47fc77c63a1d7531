import { resources, type Resource } from "../kube/index.ts";
import type { Compare, Operation, Store } from "../store/index.ts";
import type { Metrics } from "../system/index.ts";
import type { Catalog } from "./resources/index.ts";
import type { Storage } from "./storage/index.ts";

/** Upper bounds in seconds: from a fast disk to one that is worn out. */
const buckets = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.512, 2, 8];

/** The same as upstream has them. */
const requestBuckets = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
];

/** Kinds of users' own whose names become labels at most. */
const mostCustom = 500;

const labelOf = ({ group, plural }: Resource): string => (group ? `${plural}.${group}` : plural);

/** Tells what is stored: of every built-in kind, and of those that are defined while they are. */
export function tellOfStorage(metrics: Metrics, storage: Storage, store: Store, catalog: Catalog): void {
  const objects = metrics.gauge("apiserver_storage_objects", "Stored objects, by resource.", ["resource"]);
  for (const resource of Object.values(resources)) objects(labelOf(resource)).from(() => storage.of(resource).size);
  const known = new Set(Object.values<Resource>(resources).map(labelOf));
  const most = known.size + mostCustom;
  let custom = new Map<string, Resource>();
  catalog.onChange(() => {
    custom = new Map();
    for (const { stored } of catalog.all()) {
      const name = labelOf(stored);
      custom.set(name, stored);
      if (known.has(name) || known.size >= most) continue;
      known.add(name);
      // A kind that is no longer held has no size: `of` says so by throwing.
      objects(name).from(() => {
        const resource = custom.get(name);
        return resource && storage.of(resource).size;
      });
    }
  });
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
  const requests = metrics.histogram(
    "etcd_request_duration_seconds",
    "Time that requests to the store took, whatever store it is.",
    ["operation"],
    requestBuckets,
  );
  const of = {
    create: requests("create"),
    update: requests("update"),
    delete: requests("delete"),
    get: requests("get"),
    list: requests("list"),
  };
  const seconds = (begun: number): number => (performance.now() - begun) / 1000;
  return {
    ...store,
    async write(compare, operations) {
      const begun = performance.now();
      const result = await store.write(compare, operations);
      const time = seconds(begun);
      took.observe(time);
      of[kindOf(compare, operations)].observe(time);
      return result;
    },
    async get(...args) {
      const begun = performance.now();
      const result = await store.get(...args);
      of.get.observe(seconds(begun));
      return result;
    },
    async list(...args) {
      const begun = performance.now();
      const result = await store.list(...args);
      of.list.observe(seconds(begun));
      return result;
    },
  };
}

/** What a transaction is about: its first operation; a put on the condition that there is nothing creates. */
function kindOf(compare: readonly Compare[], [first]: readonly Operation[]): "create" | "update" | "delete" {
  if (first?.type === "delete") return "delete";
  return compare.some(({ key, modRevision }) => key === first?.key && modRevision === 0) ? "create" : "update";
}
