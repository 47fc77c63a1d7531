import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import {
  generateName,
  invalid,
  statusError,
  strategyFor,
  type KubeObject,
  type Resource,
  type StrategyContext,
} from "../../kube/index.ts";
import type { Compare, Operation } from "../../store/index.ts";
import type { UserInfo } from "../handler.ts";
import { Entry, keyFor, storedBytes, type KindCache, type Storage } from "../storage/index.ts";
import { deletionOf, isGone, type DeletionOptions } from "./deletion.ts";
import { alreadyExists, conflict, modified, notFound } from "./errors.ts";

/** One write, as far as it does not depend on what is written. */
export interface WriteContext {
  readonly user: UserInfo;
  readonly resource: Resource;
  /** "" for cluster-scoped objects. */
  readonly namespace: string;
  readonly subresource: string;
  readonly dryRun: boolean;
  /** Collects what the client shall be warned of. */
  warn(text: string): void;
}

export interface AdmissionRequest {
  readonly operation: "CREATE" | "UPDATE" | "DELETE";
  readonly context: WriteContext;
  readonly name: string;
  /** May be changed. Absent for a delete. */
  readonly object?: KubeObject;
  readonly old?: KubeObject;
}

/** Changes or refuses (by a StatusError) what is about to be written. */
export type Admission = (request: AdmissionRequest) => void | Promise<void>;

/** What is written together with an object: records of addresses and ports that it holds. */
export interface Companion {
  readonly compare: readonly Compare[];
  readonly operations: readonly Operation[];
}

/**
 * Gives objects what has to be unique in the cluster, in the same transaction. May change `object`; `object` absent: it is deleted.
 * Throws StatusError Invalid when there is none left or what is asked for is taken.
 */
export type Allocator = (resource: Resource, object: KubeObject | undefined, old: KubeObject | undefined) => Companion;

export interface RegistryOptions {
  readonly storage: Storage;
  readonly admission: readonly Admission[];
  readonly allocate: Allocator;
  readonly allowLoopback: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface Registry {
  get(resource: Resource, namespace: string, name: string): Promise<Entry>;
  create(context: WriteContext, object: KubeObject): Promise<Entry>;
  /**
   * Replaces the object named by what `produce` makes of the present one (a copy). With `retry`, another writer's change in between
   * means that `produce` is asked again, else Conflict.
   */
  update(
    context: WriteContext,
    name: string,
    produce: (current: KubeObject) => KubeObject,
    options: { retry: boolean; orCreate?: () => KubeObject },
  ): Promise<{ entry: Entry; created: boolean }>;
  /** The object as it is afterwards; `gone` when it is not there any more. */
  remove(context: WriteContext, name: string, options: DeletionOptions): Promise<{ entry: Entry; gone: boolean }>;
}

/** Free addresses that others may take first before a request gives up. */
const allocations = 16;
/** Writers that may come in between one read and one write: more than there can be requests at once, and each round lets one through. */
const writers = 1024;
const noCompanion: Companion = { compare: [], operations: [] };

export function createRegistry({ storage, admission, allocate, allowLoopback, now }: RegistryOptions): Registry {
  const strategyContext = (context: WriteContext): StrategyContext => ({
    now: timestamp(now()),
    ...(context.subresource ? { subresource: context.subresource } : {}),
    allowLoopback,
  });

  const admit = async (request: AdmissionRequest): Promise<void> => {
    for (const step of admission) await step(request);
  };

  /** Writes one object, or removes it, if it still is as `current`. The entry, or what is there instead. */
  const commit = async (
    cache: KindCache,
    key: string,
    current: Entry | undefined,
    value: Uint8Array | undefined,
    companion: Companion,
  ): Promise<{ done: Entry } | { failed: "object" | "companion"; current: Entry | undefined }> => {
    const result = await storage.write(
      [{ key, modRevision: current?.revision ?? 0 }, ...companion.compare],
      [value ? { type: "put", key, value } : { type: "delete", key }, ...companion.operations],
    );
    if (result.ok) {
      if (!value) return { done: current as Entry };
      const cached = cache.get(key);
      return { done: cached?.revision === result.revision ? cached : cache.make(key, result.revision, value) };
    }
    if (!result.current.has(key)) {
      // Someone else was given the same address: the caches shall know before another is chosen.
      await storage.reached(result.revision);
      return { failed: "companion", current };
    }
    const there = result.current.get(key);
    return { failed: "object", current: there && cache.make(key, there.modRevision, there.value) };
  };

  const read = async (resource: Resource, namespace: string, name: string): Promise<Entry | undefined> => {
    await storage.caughtUp();
    return storage.of(resource).get(keyFor(resource, { namespace, name }));
  };

  /** Defaults, the kind's own rules, allocation and validation of an update. A binding writes only what the server itself made. */
  const prepareUpdate = (context: WriteContext, object: KubeObject, old: KubeObject): Companion => {
    if (context.subresource === "binding") return noCompanion;
    const { resource } = context;
    const strategy = strategyFor(resource);
    const strategyIn = strategyContext(context);
    strategy.defaults(object);
    strategy.prepareForUpdate(object, old, strategyIn);
    const companion = context.subresource ? noCompanion : allocate(resource, object, old);
    const errors = strategy.validateUpdate(object, old, strategyIn);
    if (errors.length > 0) throw invalid(resource, object.metadata.name, errors);
    for (const warning of strategy.warnings(object)) context.warn(warning);
    return companion;
  };

  const createNamed = async (
    context: WriteContext,
    object: KubeObject,
    strategyIn: StrategyContext,
  ): Promise<Entry | "taken"> => {
    const { resource } = context;
    const cache = storage.of(resource);
    const strategy = strategyFor(resource);
    const key = keyFor(resource, { namespace: context.namespace, name: object.metadata.name });
    for (let attempt = 0; attempt < allocations; attempt++) {
      const draft = structuredClone(object);
      const companion = allocate(resource, draft, undefined);
      const errors = strategy.validateCreate(draft, strategyIn);
      if (errors.length > 0) throw invalid(resource, draft.metadata.name, errors);
      const value = storedBytes(resource, draft);
      if (context.dryRun) {
        await storage.caughtUp();
        return cache.get(key) ? "taken" : new Entry(key, 0, value);
      }
      const result = await commit(cache, key, undefined, value, companion);
      if ("done" in result) return result.done;
      if (result.failed === "object") return "taken";
    }
    throw statusError(
      "ServerTimeout",
      `no free address was found for ${resource.kind} ${object.metadata.name} in time`,
    );
  };

  const create: Registry["create"] = async (context, object) => {
    const { resource, namespace } = context;
    const strategy = strategyFor(resource);
    const strategyIn = strategyContext(context);
    const { metadata } = object;
    if (metadata.resourceVersion) throw resourceVersionOnCreate();
    object.metadata = { ...metadata, namespace, uid: randomUUID(), creationTimestamp: strategyIn.now };
    // Manifests often name a namespace also where there is none.
    if (!resource.namespaced) delete object.metadata.namespace;
    for (const field of ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"] as const)
      delete object.metadata[field];
    const base = metadata.name ? "" : (metadata.generateName ?? "");
    if (!metadata.name && !base)
      throw invalid(resource, "", [
        { type: "Required", field: "metadata.name", detail: "name or generateName is required" },
      ]);
    if (base) object.metadata.name = generateName(base, Math.random);
    await admit({ operation: "CREATE", context, name: object.metadata.name, object });
    strategy.prepareForCreate(object, strategyIn);
    strategy.defaults(object);
    for (const warning of strategy.warnings(object)) context.warn(warning);

    for (let attempt = 0; ; attempt++) {
      const entry = await createNamed(context, object, strategyIn);
      if (entry !== "taken") return entry;
      if (!base || attempt >= 8) throw alreadyExists(resource, object.metadata.name);
      object.metadata.name = generateName(base, Math.random);
    }
  };

  return {
    create,

    async get(resource, namespace, name) {
      const entry = await read(resource, namespace, name);
      if (!entry) throw notFound(resource, name);
      return entry;
    },

    async update(context, name, produce, { retry, orCreate }) {
      const { resource, namespace } = context;
      const cache = storage.of(resource);
      const key = keyFor(resource, { namespace, name });
      let current = await read(resource, namespace, name);
      for (let attempt = 0; attempt < writers; attempt++) {
        if (!current) {
          if (!orCreate || !strategyFor(resource).allowCreateOnUpdate) throw notFound(resource, name);
          return { entry: await create(context, orCreate()), created: true };
        }
        const old = current.object;
        const object = produce(structuredClone(old));
        checkPreconditions(resource, object, old);
        object.metadata = keptMetadata(object.metadata, old.metadata);
        await admit({ operation: "UPDATE", context, name, object, old });
        const companion = prepareUpdate(context, object, old);

        if (isSame(object, old)) return { entry: current, created: false };

        const value = storedBytes(resource, object);
        const last = cache.make(key, current.revision, value);
        if (context.dryRun) return { entry: last, created: false };
        const result = isGone(resource, object)
          ? await commit(cache, key, current, undefined, allocate(resource, undefined, old))
          : await commit(cache, key, current, value, companion);
        if ("done" in result) return { entry: isGone(resource, object) ? last : result.done, created: false };
        if (result.failed === "object" && !retry) throw modified(resource, name);
        current = result.current;
      }
      throw modified(resource, name);
    },

    async remove(context, name, options) {
      const { resource, namespace } = context;
      const cache = storage.of(resource);
      const key = keyFor(resource, { namespace, name });
      let current = await read(resource, namespace, name);
      for (let attempt = 0; attempt < writers; attempt++) {
        if (!current) throw notFound(resource, name);
        const old = current.object;
        await admit({ operation: "DELETE", context, name, old });
        const deletion = deletionOf(resource, old, options, now());
        if (deletion.type === "pending") return { entry: current, gone: false };
        const value = deletion.type === "mark" ? storedBytes(resource, deletion.object) : undefined;
        if (context.dryRun) return { entry: value ? cache.make(key, current.revision, value) : current, gone: !value };
        const companion = value ? noCompanion : allocate(resource, undefined, old);
        const result = await commit(cache, key, current, value, companion);
        if ("done" in result) return { entry: result.done, gone: !value };
        current = result.current;
      }
      throw modified(resource, name);
    },
  };
}

/** RFC 3339 in UTC with whole seconds, as metav1.Time. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

function resourceVersionOnCreate(): Error {
  return statusError("BadRequest", "resourceVersion should not be set on objects to be created");
}

function checkPreconditions(resource: Resource, object: KubeObject, old: KubeObject): void {
  const { name, uid, resourceVersion } = object.metadata;
  if (uid && uid !== old.metadata.uid)
    throw conflict(
      resource,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid ?? ""}`,
    );
  if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) throw modified(resource, name);
}

/** What no update changes: who the object is, since when, and whether it is being deleted. */
function keptMetadata(metadata: KubeObject["metadata"], old: KubeObject["metadata"]): KubeObject["metadata"] {
  const kept = { ...metadata };
  for (const field of ["selfLink", "managedFields", "resourceVersion"] as const) delete kept[field];
  for (const field of ownFields) {
    delete kept[field];
    if (old[field] !== undefined) Object.assign(kept, { [field]: old[field] });
  }
  return kept;
}

const ownFields = [
  "name",
  "namespace",
  "generateName",
  "uid",
  "creationTimestamp",
  "generation",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
] as const;

/** True when a write would change nothing: then none is made, and the version stays. */
function isSame(object: KubeObject, old: KubeObject): boolean {
  const { resourceVersion: _revision, ...metadata } = old.metadata;
  return isDeepStrictEqual(object, { ...old, metadata });
}
