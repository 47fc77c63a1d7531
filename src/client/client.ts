import type { Draft, KubeObject, ObjectName, Resource, Scale } from "../kube/index.ts";

export interface ListQuery {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Objects come with nothing but their metadata (`PartialObjectMetadata`). */
  readonly metadataOnly?: boolean;
}

export interface ListOptions extends ListQuery {
  readonly limit?: number;
  readonly continue?: string;
  /** "0": any version the server has at hand; absent: the newest. */
  readonly resourceVersion?: string;
}

export interface ObjectList<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  readonly continue?: string;
}

export interface WatchOptions extends ListQuery {
  /** Absent with `sendInitialEvents`: the state now, then changes. */
  readonly resourceVersion?: string;
  /** Begin with an ADDED for each object that exists, then a BOOKMARK with `initial: true`. */
  readonly sendInitialEvents?: boolean;
  readonly signal: AbortSignal;
}

export type WatchEvent<T> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  /** `initial`: all objects that existed have been sent. */
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string; readonly initial: boolean };

export interface WriteOptions {
  readonly dryRun?: boolean;
  readonly fieldManager?: string;
  readonly signal?: AbortSignal;
}

export type Patch =
  | { readonly type: "json"; readonly body: readonly object[] }
  | { readonly type: "merge"; readonly body: object }
  | { readonly type: "strategic"; readonly body: object };

/** With `subresource` (`status`, `finalize`, `scale`) only that part of the object is written. */
export interface UpdateOptions extends WriteOptions {
  readonly subresource?: string;
}

export interface PatchOptions extends WriteOptions {
  readonly subresource?: string;
}

export interface DeleteOptions extends WriteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: "Orphan" | "Background" | "Foreground";
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

export interface LogOptions {
  readonly container?: string;
  readonly follow?: boolean;
  readonly previous?: boolean;
  readonly timestamps?: boolean;
  readonly tailLines?: number;
  readonly signal?: AbortSignal;
}

/**
 * The Kubernetes API as code sees it; the same over HTTP with a kubeconfig, in process, and in tests.
 *
 * Every method throws `StatusError` (kube) for what the API refuses and `ClientError` when it could not be asked.
 * Objects that come back are shared with caches: copy (`structuredClone`) before you change one.
 */
export interface Client {
  get<T extends KubeObject>(resource: Resource<T>, name: ObjectName): Promise<T>;
  list<T extends KubeObject>(resource: Resource<T>, options?: ListOptions): Promise<ObjectList<T>>;
  /** Ends when the server closes the watch or the signal aborts; an expired version throws StatusError "Expired". */
  watch<T extends KubeObject>(resource: Resource<T>, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  /** The namespace is that of the draft's metadata. */
  create<T extends KubeObject>(resource: Resource<T>, draft: Draft<T>, options?: WriteOptions): Promise<T>;
  /** Replaces; with `metadata.resourceVersion` set it fails with Conflict when someone else was quicker. */
  update<T extends KubeObject>(resource: Resource<T>, object: T, options?: UpdateOptions): Promise<T>;
  updateStatus<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>;
  patch<T extends KubeObject>(
    resource: Resource<T>,
    name: ObjectName,
    patch: Patch,
    options?: PatchOptions,
  ): Promise<T>;
  /** Makes the object as the draft says, keeping what others set: kubectl's three-way apply. */
  apply<T extends KubeObject>(resource: Resource<T>, draft: Draft<T>, options?: WriteOptions): Promise<T>;
  delete(resource: Resource, name: ObjectName, options?: DeleteOptions): Promise<void>;
  /** POST to a subresource that takes an object of its own, for example a Pod's `binding`. What the server answers. */
  createSubresource<T extends object = object>(
    resource: Resource,
    name: ObjectName,
    subresource: string,
    body: object,
  ): Promise<T>;
  /** How many pods something wants and has, whatever its kind: its `scale` subresource. */
  getScale(resource: Resource, name: ObjectName): Promise<Scale>;
  logs(pod: ObjectName, options?: LogOptions): AsyncIterable<Uint8Array>;
}

/** The server could not be reached, or answered something that is not the Kubernetes API. */
export class ClientError extends Error {
  readonly code: "UNREACHABLE" | "TLS" | "PROTOCOL" | "KUBECONFIG";

  constructor(code: ClientError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ClientError";
    this.code = code;
  }
}
