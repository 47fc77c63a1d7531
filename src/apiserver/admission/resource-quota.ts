import {
  checkQuota,
  isCounted,
  resources,
  semanticEqual,
  statusError,
  usedOf,
  type KubeObject,
  type Resource,
  type ResourceQuota,
} from "../../kube/index.ts";
import { forbidden, type Admission, type AdmissionRequest } from "../registry/index.ts";
import { prefixFor, storedBytes, type Entry, type Storage } from "../storage/index.ts";

/** Kinds whose updates may use more. */
const growing: ReadonlySet<Resource> = new Set<Resource>([resources.Service, resources.PersistentVolumeClaim]);
/** Writers of the same quotas that may come in between. */
const attempts = 16;
/** Requests that are decided together at most. */
const mostAtOnce = 256;
const kind = resources.ResourceQuota;

interface Waiter {
  readonly request: AdmissionRequest;
  readonly object: KubeObject;
  settle(error?: Error): void;
}

/** A quota while requests are decided. */
interface Open {
  readonly entry: Entry;
  quota: ResourceQuota;
  changed: boolean;
}

/**
 * Counts what is about to be written against the quotas of its namespace, before it is written: the last validating step. Requests
 * for one namespace that come together are decided together, and the quotas written once, on the condition that nobody else has: so
 * however many come at once, no more get in than fit. A request that fails afterwards stays counted until the quota controller
 * counts anew.
 */
export function resourceQuota(storage: Storage): Admission {
  const queues = new Map<string, Waiter[]>();
  const quotas = (namespace: string): Entry[] => storage.of(kind).under(prefixFor(kind, namespace));

  const decide = async (namespace: string, batch: readonly Waiter[]): Promise<void> => {
    for (let attempt = 0; attempt < attempts; attempt++) {
      // Quotas written by the batch before this one are seen, too.
      await storage.caughtUp();
      const open = quotas(namespace).map((entry): Open => ({
        entry,
        quota: known(entry.object as ResourceQuota, storage),
        changed: false,
      }));
      const refused = new Map(batch.map((waiter) => [waiter, refusal(waiter, open)]));
      const changed = open.filter((one) => one.changed);
      const written =
        changed.length === 0 ||
        (
          await storage.write(
            changed.map(({ entry }) => ({ key: entry.key, modRevision: entry.revision })),
            changed.map(({ entry, quota }) => ({ type: "put", key: entry.key, value: storedBytes(kind, quota) })),
          )
        ).ok;
      if (!written) continue;
      for (const [waiter, error] of refused) waiter.settle(error);
      return;
    }
    throw statusError("Conflict", `the quotas of namespace ${namespace} are being changed too often; try again`);
  };

  const work = async (namespace: string, queue: Waiter[]): Promise<void> => {
    while (queue.length > 0) {
      const batch = queue.splice(0, mostAtOnce);
      await decide(namespace, batch).catch((error: unknown) => {
        for (const waiter of batch) waiter.settle(error as Error);
      });
    }
    queues.delete(namespace);
  };

  return (request) => {
    const { context, operation, object } = request;
    const { resource, namespace, subresource } = context;
    if (!object || !namespace || subresource !== "") return undefined;
    if (operation !== "CREATE" && !(operation === "UPDATE" && growing.has(resource))) return undefined;
    if (quotas(namespace).length === 0) return undefined;
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { request, object, settle: (error) => (error ? reject(error) : resolve()) };
      const queue = queues.get(namespace);
      if (queue) {
        queue.push(waiter);
        return;
      }
      const begun = [waiter];
      queues.set(namespace, begun);
      void work(namespace, begun);
    });
  };
}

/** Decides one request and counts it in the quotas when it may go on; a dry run is not counted. */
function refusal({ request, object }: Waiter, open: readonly Open[]): Error | undefined {
  const { context, old } = request;
  const change = { resource: context.resource, object, ...(old ? { old } : {}) };
  const answers = open.map((one) => ({ one, answer: checkQuota(one.quota, change) }));
  for (const { answer } of answers)
    if (answer.type === "refused") return forbidden(context.resource, object.metadata.name, answer.why);
  if (context.dryRun) return undefined;
  for (const { one, answer } of answers) {
    if (answer.type !== "used") continue;
    one.quota = { ...one.quota, status: { ...one.quota.status, used: { ...answer.used } } };
    one.changed = true;
  }
  return undefined;
}

/** A quota that is new or has changed is counted here and now: it holds from the moment it is there. */
function known(quota: ResourceQuota, storage: Storage): ResourceQuota {
  const { spec, status, metadata } = quota;
  const hard = spec.hard ?? {};
  if (status?.used && semanticEqual(status.hard ?? {}, hard)) return quota;
  const names = Object.keys(hard);
  const counted = (Object.values(resources) as Resource[]).filter(
    (resource) => resource.namespaced && names.some((name) => isCounted(resource, name)),
  );
  function* objects() {
    for (const resource of counted)
      for (const { object } of storage.of(resource).under(prefixFor(resource, metadata.namespace)))
        yield { resource, object };
  }
  return { ...quota, status: { ...status, hard, used: { ...usedOf(quota, objects()) } } };
}
