import { resources, type Resource } from "../kube/index.ts";
import type { Compare, Operation, Store } from "../store/index.ts";
import type { Metrics } from "../system/index.ts";
import type { Catalog } from "./resources/index.ts";
import { root, type Storage } from "./storage/index.ts";

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
  const byGroup = metrics.gauge("apiserver_resource_objects", "The same, by group and resource.", [
    "group",
    "resource",
  ]);
  const tell = (resource: Resource, read: () => number | undefined): void => {
    objects(labelOf(resource)).from(read);
    byGroup(resource.group, resource.plural).from(read);
  };
  for (const resource of Object.values<Resource>(resources)) tell(resource, () => storage.of(resource).size);
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
      tell(stored, () => {
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

/** Kinds whose names become labels of requests to the store at most. */
const mostKinds = 1000;

/** Group and resource that a key or a prefix belongs to, as labels; empty for what is no object, and beyond `mostKinds`. */
function createKindLabels(): (key: string) => readonly [group: string, resource: string] {
  const none = ["", ""] as const;
  const known = new Map<string, readonly [string, string]>();
  return (key) => {
    if (!key.startsWith(root)) return none;
    const afterGroup = key.indexOf("/", root.length);
    const afterPlural = key.indexOf("/", afterGroup + 1);
    if (afterGroup < 0 || afterPlural < 0) return none;
    const name = key.slice(root.length, afterPlural);
    const found = known.get(name);
    if (found) return found;
    if (known.size >= mostKinds) return none;
    const group = key.slice(root.length, afterGroup);
    const labels = [group === "core" ? "" : group, key.slice(afterGroup + 1, afterPlural)] as const;
    known.set(name, labels);
    return labels;
  };
}

type Asked = "create" | "update" | "delete" | "get" | "list";

/** The same store, whose requests are timed and counted: from the wish to the acknowledgement, the wait for others included. */
export function timed(store: Store, metrics: Metrics): Store {
  const took = metrics.histogram(
    "fairlead_store_write_duration_seconds",
    "Time until a write was acknowledged, which it is when it is on disk.",
    [],
    buckets,
  )();
  const labels = ["operation", "group", "resource"];
  const durations = metrics.histogram(
    "etcd_request_duration_seconds",
    "Time that requests to the store took, whatever store it is.",
    labels,
    requestBuckets,
  );
  const requests = metrics.counter("etcd_requests_total", "Requests to the store, whatever store it is.", labels);
  const errors = metrics.counter("etcd_request_errors_total", "Those of them that failed.", labels);
  const labelsOfKey = createKindLabels();
  const measure = async <T>(
    asked: Asked,
    key: string,
    request: () => Promise<T>,
    done?: (seconds: number) => void,
  ): Promise<T> => {
    const [group, resource] = labelsOfKey(key);
    const begun = performance.now();
    requests(asked, group, resource).inc();
    try {
      const result = await request();
      done?.((performance.now() - begun) / 1000);
      return result;
    } catch (error) {
      errors(asked, group, resource).inc();
      throw error;
    } finally {
      durations(asked, group, resource).observe((performance.now() - begun) / 1000);
    }
  };
  return {
    ...store,
    write: (compare, operations) =>
      measure(
        kindOf(compare, operations),
        operations[0]?.key ?? "",
        () => store.write(compare, operations),
        (seconds) => took.observe(seconds),
      ),
    get: (key, ...args) => measure("get", key, () => store.get(key, ...args)),
    list: (prefix, ...args) => measure("list", prefix, () => store.list(prefix, ...args)),
  };
}

/** What a transaction is about: its first operation; a put on the condition that there is nothing creates. */
function kindOf(compare: readonly Compare[], [first]: readonly Operation[]): Asked {
  if (first?.type === "delete") return "delete";
  return compare.some(({ key, modRevision }) => key === first?.key && modRevision === 0) ? "create" : "update";
}
