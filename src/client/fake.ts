import {
  apiVersionOf,
  cloneJson,
  type Draft,
  keyOf,
  type KubeObject,
  type ObjectName,
  type Resource,
  resources,
  reviewResources,
  statusError,
  type TokenRequest,
} from "../kube/index.ts";
import { type Clock, systemClock } from "../system/index.ts";
import { applyThreeWay } from "./apply.ts";
import type {
  Client,
  DeleteOptions,
  ListQuery,
  PatchOptions,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "./client.ts";
import { isDone, matcherOf, merged, patched, podGrace, scaleOf } from "./fake-rules.ts";
import { deepFreeze } from "./freeze.ts";
import { createPipe, type Pipe } from "./pipe.ts";

/** One call that was made to a fake client. */
export interface FakeCall {
  readonly verb: "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";
  readonly resource: Resource;
  /** `namespace/name`, `name`, or for list and watch the namespace or "". */
  readonly key: string;
  readonly subresource?: string;
  /** What was sent: object, patch or delete options. */
  readonly body?: unknown;
}

/**
 * A cluster's API in memory, for unit tests: it keeps objects, versions, generations, finalizers, graceful deletion of
 * pods, selectors, conflicts and watches as the API server does, but it neither defaults nor validates.
 */
export interface FakeClient extends Client {
  /** Every write so far, oldest first; reads are not kept. */
  readonly writes: readonly FakeCall[];
  /** Called before each call; what it throws (or rejects with) is the call's answer. Undefined: none. */
  intercept: ((call: FakeCall) => void | Promise<void>) | undefined;
  /** Puts an object there (new or in place of another), status and all. Fills in what a server would. */
  put<T extends KubeObject>(resource: Resource<T>, draft: Draft<T>): T;
  /** Takes an object away, whatever its finalizers say. */
  remove(resource: Resource, name: ObjectName): void;
  /** Ends all open watches, as a server that restarts would. With `expire`, history is gone too: old versions are 410. */
  dropWatches(options?: { expire?: boolean }): void;
  /** What `logs` answers, by pod key. */
  readonly podLogs: Map<string, string>;
}

interface Change {
  readonly revision: number;
  readonly resource: Resource;
  readonly before?: KubeObject;
  readonly after?: KubeObject;
}

interface Watcher {
  readonly resource: Resource;
  readonly matches: (object: KubeObject) => boolean;
  readonly pipe: Pipe<WatchEvent<KubeObject>>;
}

const questions = Object.values<Resource>(reviewResources);

/** An empty cluster (only `objects` in it). */
export function createFakeClient(options: { objects?: readonly KubeObject[]; clock?: Clock } = {}): FakeClient {
  const clock = options.clock ?? systemClock;
  const tables = new Map<string, Map<string, KubeObject>>();
  const watchers = new Set<Watcher>();
  const history: Change[] = [];
  const writes: FakeCall[] = [];
  const podLogs = new Map<string, string>();
  let revision = 1;
  let oldest = 0;
  let serial = 0;
  let tokens = 0;

  const table = (resource: Resource): Map<string, KubeObject> => {
    const id = `${resource.group}/${resource.plural}`;
    let found = tables.get(id);
    if (!found) tables.set(id, (found = new Map()));
    return found;
  };

  const record = (resource: Resource, before: KubeObject | undefined, after: KubeObject | undefined): void => {
    const change: Change = { revision, resource, ...(before ? { before } : {}), ...(after ? { after } : {}) };
    history.push(change);
    for (const watcher of watchers) {
      if (watcher.resource.plural !== resource.plural || watcher.resource.group !== resource.group) continue;
      const event = eventOf(change, watcher.matches);
      if (event) watcher.pipe.push(event);
    }
  };

  const store = (resource: Resource, object: KubeObject): KubeObject => {
    const before = table(resource).get(keyOf(object));
    object.metadata.resourceVersion = String(++revision);
    deepFreeze(object);
    table(resource).set(keyOf(object), object);
    record(resource, before, object);
    return object;
  };

  const drop = (resource: Resource, object: KubeObject): void => {
    table(resource).delete(keyOf(object));
    const last = cloneJson(object);
    last.metadata.resourceVersion = String(++revision);
    record(resource, deepFreeze(last), undefined);
  };

  const find = (resource: Resource, name: ObjectName): KubeObject => {
    const found = table(resource).get(keyOf({ metadata: name }));
    if (!found) throw notFound(resource, name.name);
    return found;
  };

  const complete = (resource: Resource, draft: object): KubeObject => {
    const object = cloneJson(draft) as KubeObject;
    object.apiVersion = apiVersionOf(resource);
    object.kind = resource.kind;
    const meta = object.metadata;
    if (!meta.name && meta.generateName) meta.name = `${meta.generateName}${(++serial).toString(36).padStart(5, "0")}`;
    if (!meta.name) throw statusError("Invalid", `${resource.kind} needs metadata.name or metadata.generateName`);
    if (resource.namespaced) meta.namespace ??= "default";
    else delete meta.namespace;
    meta.uid ??= `00000000-0000-4000-8000-${(++serial).toString(16).padStart(12, "0")}`;
    meta.creationTimestamp ??= timeOf(clock.now());
    meta.generation ??= 1;
    return object;
  };

  const call = async (what: FakeCall): Promise<void> => {
    if (what.verb !== "get" && what.verb !== "list" && what.verb !== "watch") writes.push(what);
    await client.intercept?.(what);
  };

  /** Replaces an object as a PUT would; `subresource` says what of it may change. */
  const replace = (resource: Resource, wanted: KubeObject, subresource: string | undefined, dryRun = false) => {
    const old = find(resource, wanted.metadata);
    const { resourceVersion, uid } = wanted.metadata;
    if (
      (resourceVersion && resourceVersion !== old.metadata.resourceVersion) ||
      (uid !== undefined && uid !== old.metadata.uid)
    ) {
      throw conflict(resource, wanted.metadata.name);
    }
    const next = merged(resource, old, wanted, subresource);
    if (JSON.stringify(next) === JSON.stringify(old)) return old;
    const mayGo = next.metadata.deletionTimestamp !== undefined && isDone(resource, next);
    if (dryRun) return next;
    if (mayGo) {
      drop(resource, next);
      return next;
    }
    return store(resource, next);
  };

  const remove = (resource: Resource, name: ObjectName, how: DeleteOptions): void => {
    const old = find(resource, name);
    const { uid, resourceVersion } = how.preconditions ?? {};
    if ((uid && uid !== old.metadata.uid) || (resourceVersion && resourceVersion !== old.metadata.resourceVersion)) {
      throw conflict(resource, name.name);
    }
    const next = cloneJson(old);
    const finalizers = new Set(next.metadata.finalizers);
    if (how.propagationPolicy === "Foreground") finalizers.add("foregroundDeletion");
    if (how.propagationPolicy === "Orphan") finalizers.add("orphan");
    if (finalizers.size > 0) next.metadata.finalizers = [...finalizers];
    const grace = resource.kind === "Pod" ? podGrace(next, how.gracePeriodSeconds) : 0;
    const wait = Math.min(grace, next.metadata.deletionGracePeriodSeconds ?? grace);
    if (wait === 0) next.metadata.deletionGracePeriodSeconds = 0;
    if (wait === 0 && isDone(resource, next)) {
      if (!how.dryRun) drop(resource, old);
      return;
    }
    next.metadata.deletionGracePeriodSeconds = wait;
    next.metadata.deletionTimestamp ??= timeOf(clock.now() + wait * 1000);
    if (resource.kind === "Namespace") (next as { status?: object }).status = { phase: "Terminating" };
    if (!how.dryRun && JSON.stringify(next) !== JSON.stringify(old)) store(resource, next);
  };

  const client: FakeClient = {
    writes,
    podLogs,
    intercept: undefined,
    put(resource, draft) {
      const object = complete(resource, draft);
      const old = table(resource).get(keyOf(object));
      if (old && draft.metadata.uid === undefined) object.metadata.uid = old.metadata.uid ?? "";
      return store(resource, object) as never;
    },
    remove: (resource, name) => drop(resource, find(resource, name)),
    dropWatches({ expire } = {}) {
      if (expire) {
        history.length = 0;
        oldest = ++revision;
      }
      for (const watcher of watchers) watcher.pipe.end();
      watchers.clear();
    },
    async get(resource, name) {
      await call({ verb: "get", resource, key: keyOf({ metadata: name }) });
      return find(resource, name) as never;
    },
    async list(resource, query = {}) {
      await call({ verb: "list", resource, key: query.namespace ?? "" });
      const items = [...table(resource).values()].filter(matcherOf(query)).sort(byKey);
      return { items: items.map(shownTo(query)) as never[], resourceVersion: String(revision) };
    },
    async *watch(resource, query) {
      const shown = shownTo(query);
      for await (const event of watch(resource, query))
        yield (event.type === "BOOKMARK" ? event : { ...event, object: shown(event.object) }) as never;
    },
    async create<T extends KubeObject>(resource: Resource<T>, draft: Draft<T>, how?: WriteOptions) {
      // Questions are answered and not stored: nobody is known here, and nobody may anything.
      if (questions.includes(resource))
        return { ...draft, status: { authenticated: false, allowed: false } } as unknown as T;
      const object = complete(resource, { ...draft, metadata: { ...draft.metadata } });
      await call({ verb: "create", resource, key: keyOf(object), body: draft });
      const { name, namespace } = object.metadata;
      if (table(resource).has(keyOf(object))) {
        throw statusError("AlreadyExists", `${qualified(resource)} "${name}" already exists`, { name });
      }
      const home = namespace && table(resources.Namespace).get(namespace);
      if (home && home.metadata.deletionTimestamp) {
        throw statusError(
          "Forbidden",
          `${qualified(resource)} "${name}" is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`,
          {
            name,
            causes: [
              {
                reason: "NamespaceTerminating",
                message: `namespace ${namespace} is being terminated`,
                field: "metadata.namespace",
              },
            ],
          },
        );
      }
      return (how?.dryRun ? deepFreeze(object) : store(resource, object)) as never;
    },
    async update(resource, object, how) {
      const { subresource } = how ?? {};
      await call({
        verb: "update",
        resource,
        key: keyOf(object),
        body: object,
        ...(subresource ? { subresource } : {}),
      });
      return replace(resource, object, subresource, how?.dryRun) as never;
    },
    async updateStatus(resource, object, how) {
      return client.update(resource, object, { ...how, subresource: "status" });
    },
    async patch(resource, name, patch, how: PatchOptions = {}) {
      const { subresource } = how;
      const key = keyOf({ metadata: name });
      await call({ verb: "patch", resource, key, body: patch.body, ...(subresource ? { subresource } : {}) });
      const old = find(resource, name);
      return replace(resource, patched(resource, old, patch), subresource, how.dryRun) as never;
    },
    apply: (resource, draft, how) => applyThreeWay(client, resource, draft, how),
    async delete(resource, name, how = {}) {
      await call({ verb: "delete", resource, key: keyOf({ metadata: name }), body: how });
      remove(resource, name, how);
    },
    async createSubresource<T extends object>(
      resource: Resource,
      name: ObjectName,
      subresource: string,
      body: object,
    ): Promise<T> {
      await call({ verb: "create", resource, key: keyOf({ metadata: name }), subresource, body });
      const object = cloneJson(find(resource, name)) as KubeObject & { spec: { nodeName?: string } };
      if (subresource === "binding") {
        const { target } = body as { target: { name: string } };
        if (object.spec.nodeName) throw conflict(resource, name.name);
        object.spec.nodeName = target.name;
        const status = ((object as { status?: { conditions?: object[] } }).status ??= {});
        status.conditions = [
          ...(status.conditions ?? []).filter((c) => (c as { type: string }).type !== "PodScheduled"),
          { type: "PodScheduled", status: "True", lastTransitionTime: timeOf(clock.now()) },
        ];
        store(resource, object);
      } else if (subresource === "eviction") {
        remove(resource, name, (body as { deleteOptions?: DeleteOptions }).deleteOptions ?? {});
      } else if (subresource === "token") {
        const { spec } = body as TokenRequest;
        const seconds = spec.expirationSeconds ?? 3600;
        const expirationTimestamp = timeOf(clock.now() + seconds * 1000);
        const status = { token: `token-${++tokens}-of-${name.name}`, expirationTimestamp };
        return { ...body, status } as unknown as T;
      } else {
        throw statusError("NotFound", `the fake has no ${resource.plural}/${subresource}`);
      }
      return object as unknown as T;
    },
    async getScale(resource, name) {
      await call({ verb: "get", resource, key: keyOf({ metadata: name }), subresource: "scale" });
      return scaleOf(find(resource, name));
    },
    async *logs(pod) {
      const text = podLogs.get(keyOf({ metadata: pod }));
      if (text === undefined) throw notFound(resources.Pod, pod.name);
      yield Buffer.from(text);
    },
  };

  async function* watch(resource: Resource, query: WatchOptions): AsyncGenerator<WatchEvent<KubeObject>> {
    await call({ verb: "watch", resource, key: query.namespace ?? "" });
    if (query.signal.aborted) return;
    const from = query.resourceVersion ? Number(query.resourceVersion) : 0;
    if (from > 0 && from < oldest) throw statusError("Expired", `too old resource version: ${from} (${oldest})`);
    const matches = matcherOf(query);
    const pipe = createPipe<WatchEvent<KubeObject>>();
    if (query.sendInitialEvents) {
      const items = [...table(resource).values()].filter(matches).sort(byKey);
      for (const object of items) pipe.push({ type: "ADDED", object });
      pipe.push({ type: "BOOKMARK", resourceVersion: String(revision), initial: true });
    } else if (from > 0) {
      for (const change of history) {
        if (change.revision <= from || change.resource.plural !== resource.plural) continue;
        const event = change.resource.group === resource.group && eventOf(change, matches);
        if (event) pipe.push(event);
      }
    }
    const watcher: Watcher = { resource, matches, pipe };
    watchers.add(watcher);
    const stop = () => pipe.end();
    query.signal.addEventListener("abort", stop, { once: true });
    try {
      yield* pipe;
    } finally {
      watchers.delete(watcher);
      query.signal.removeEventListener("abort", stop);
    }
  }

  for (const object of options.objects ?? []) {
    const resource = Object.values<Resource>(resources).find(
      (r) => r.kind === object.kind && apiVersionOf(r) === object.apiVersion,
    );
    if (!resource) throw new Error(`the fake knows no kind ${object.apiVersion} ${object.kind}`);
    client.put(resource, object);
  }
  return client;
}

function eventOf(change: Change, matches: (object: KubeObject) => boolean): WatchEvent<KubeObject> | undefined {
  const { before, after } = change;
  const was = before !== undefined && matches(before);
  const is = after !== undefined && matches(after);
  if (is) return { type: was ? "MODIFIED" : "ADDED", object: after };
  const last = after ?? before;
  return was && last ? { type: "DELETED", object: last } : undefined;
}

/** An object as a server shows it in answer to a query. */
function shownTo({ metadataOnly }: ListQuery): (object: KubeObject) => KubeObject {
  if (!metadataOnly) return (object) => object;
  return ({ metadata }) => ({ apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata", metadata });
}

const byKey = (a: KubeObject, b: KubeObject) => (keyOf(a) < keyOf(b) ? -1 : 1);

const timeOf = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

const qualified = (resource: Resource) => (resource.group ? `${resource.plural}.${resource.group}` : resource.plural);

const notFound = (resource: Resource, name: string) =>
  statusError("NotFound", `${qualified(resource)} "${name}" not found`, {
    name,
    group: resource.group,
    kind: resource.plural,
  });

const conflict = (resource: Resource, name: string) =>
  statusError(
    "Conflict",
    `Operation cannot be fulfilled on ${qualified(resource)} "${name}": the object has been modified; please apply your changes to the latest version and try again`,
    { name, group: resource.group, kind: resource.plural },
  );
