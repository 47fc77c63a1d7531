import {
  apiVersionOf,
  keyOf,
  type KubeObject,
  nameOfKey,
  type ObjectName,
  pathOf,
  type Resource,
  type Scale,
  StatusError,
} from "../kube/index.ts";
import { applyThreeWay } from "./apply.ts";
import {
  type Client,
  ClientError,
  type DeleteOptions,
  type ListOptions,
  type ListQuery,
  type LogOptions,
  type Patch,
  type WatchEvent,
  type WatchOptions,
  type WriteOptions,
} from "./client.ts";

export interface TransportRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query: URLSearchParams;
  /** Media type of `body`. Default `application/json`. */
  readonly contentType?: string;
  readonly body?: object;
  /** Media type of the answer. Default `application/json`. */
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface TransportFrame {
  readonly type: string;
  readonly object: object;
}

/** How requests reach an API server. All three throw StatusError for its refusals and ClientError when it can't be asked. */
export interface Transport {
  call(request: TransportRequest): Promise<object>;
  /** Ends quietly when the signal aborts. */
  watch(request: TransportRequest & { readonly signal: AbortSignal }): AsyncIterable<TransportFrame>;
  download(request: TransportRequest): AsyncIterable<Uint8Array>;
}

const patchTypes: Record<Patch["type"], string> = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
};

/** The Kubernetes API in terms of requests: paths, parameters, bodies. */
export function createRestClient(transport: Transport, defaults: { fieldManager: string }): Client {
  const write = (options: WriteOptions = {}): URLSearchParams =>
    parameters({
      fieldManager: options.fieldManager ?? defaults.fieldManager,
      ...(options.dryRun ? { dryRun: "All" } : {}),
    });

  const client: Client = {
    async get(resource, name) {
      const path = pathOf(resource, name);
      return whole(resource, await transport.call({ method: "GET", path, query: parameters({}) }));
    },

    async list(resource, options = {}) {
      const path = pathOf(resource, { namespace: options.namespace });
      const answer = await transport.call({
        method: "GET",
        path,
        query: listParameters(options),
        ...formOf(options, "List"),
      });
      const { items, metadata } = answer as {
        items?: object[] | null;
        metadata?: { resourceVersion?: string; continue?: string };
      };
      return {
        items: (items ?? []).map((item) => whole(resource, item)),
        resourceVersion: metadata?.resourceVersion ?? "",
        ...(metadata?.continue ? { continue: metadata.continue } : {}),
      };
    },

    async *watch<T extends KubeObject>(resource: Resource<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
      const query = listParameters(options);
      query.set("watch", "true");
      query.set("allowWatchBookmarks", "true");
      if (options.sendInitialEvents) {
        query.set("sendInitialEvents", "true");
        query.set("resourceVersionMatch", "NotOlderThan");
      }
      const path = pathOf(resource, { namespace: options.namespace });
      for await (const frame of transport.watch({
        method: "GET",
        path,
        query,
        ...formOf(options),
        signal: options.signal,
      })) {
        yield eventOf(resource, frame);
      }
    },

    async create(resource, draft, options) {
      const path = pathOf(resource, { namespace: draft.metadata.namespace });
      const body = { ...draft, apiVersion: apiVersionOf(resource), kind: resource.kind };
      return whole(
        resource,
        await transport.call({ method: "POST", path, query: write(options), body, signal: options?.signal }),
      );
    },

    async update(resource, object, options) {
      const { namespace, name } = object.metadata;
      const path = pathOf(resource, { namespace, name, subresource: options?.subresource });
      const body = { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
      return whole(
        resource,
        await transport.call({ method: "PUT", path, query: write(options), body, signal: options?.signal }),
      );
    },

    updateStatus: (resource, object, options) => client.update(resource, object, { ...options, subresource: "status" }),

    async patch(resource, name, patch, options) {
      const path = pathOf(resource, { ...name, subresource: options?.subresource });
      const contentType = patchTypes[patch.type];
      const request = {
        method: "PATCH",
        path,
        query: write(options),
        contentType,
        body: patch.body,
        signal: options?.signal,
      } as const;
      return whole(resource, await transport.call(request));
    },

    apply: (resource, draft, options) => applyThreeWay(client, resource, draft, options),

    async delete(resource, name, options) {
      const path = pathOf(resource, name);
      await transport.call({
        method: "DELETE",
        path,
        query: parameters({}),
        body: deleteBody(options),
        signal: options?.signal,
      });
    },

    async createSubresource<T extends object>(
      resource: Resource,
      name: ObjectName,
      subresource: string,
      body: object,
    ): Promise<T> {
      const path = pathOf(resource, { ...name, subresource });
      return (await transport.call({ method: "POST", path, query: write(), body })) as T;
    },

    async getScale(resource, name) {
      const path = pathOf(resource, { ...name, subresource: "scale" });
      return (await transport.call({ method: "GET", path, query: parameters({}) })) as Scale;
    },

    logs(pod, options = {}) {
      const { namespace, name } = nameOfKey(keyOf({ metadata: pod }));
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace ?? "default")}/pods/${encodeURIComponent(name)}/log`;
      return transport.download({ method: "GET", path, query: logParameters(options), signal: options.signal });
    },
  };
  return client;
}

function formOf({ metadataOnly }: ListQuery, list = ""): { accept?: string } {
  return metadataOnly ? { accept: `application/json;as=PartialObjectMetadata${list};g=meta.k8s.io;v=v1` } : {};
}

/** Lists leave out what each item has in common. */
function whole<T extends KubeObject>(resource: Resource<T>, object: object): T {
  const found = object as T;
  if (found.kind !== undefined && found.apiVersion !== undefined) return found;
  return { ...found, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

function eventOf<T extends KubeObject>(resource: Resource<T>, { type, object }: TransportFrame): WatchEvent<T> {
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
      return { type, object: whole(resource, object) };
    case "BOOKMARK": {
      const { resourceVersion = "", annotations } = (object as KubeObject).metadata;
      return { type, resourceVersion, initial: annotations?.["k8s.io/initial-events-end"] === "true" };
    }
    case "ERROR":
      throw new StatusError(object);
    default:
      throw new ClientError("PROTOCOL", `the watch of ${resource.plural} sent an event of unknown type "${type}"`);
  }
}

function parameters(values: Readonly<Record<string, string | number | boolean | undefined>>): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined) query.set(name, String(value));
  return query;
}

function listParameters(options: ListOptions): URLSearchParams {
  const { labelSelector, fieldSelector, limit, resourceVersion } = options;
  return parameters({
    labelSelector: labelSelector || undefined,
    fieldSelector: fieldSelector || undefined,
    limit,
    continue: options.continue,
    // A continuation carries its own version.
    resourceVersion: options.continue ? undefined : resourceVersion,
  });
}

function logParameters({ container, follow, previous, timestamps, tailLines }: LogOptions): URLSearchParams {
  return parameters({ container, follow, previous, timestamps, tailLines });
}

function deleteBody(options: DeleteOptions = {}): object {
  const { gracePeriodSeconds, propagationPolicy, preconditions, dryRun } = options;
  return {
    apiVersion: "v1",
    kind: "DeleteOptions",
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(propagationPolicy ? { propagationPolicy } : {}),
    ...(preconditions ? { preconditions } : {}),
    ...(dryRun ? { dryRun: ["All"] } : {}),
  };
}
