import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import {
  apiVersionOf,
  cloneJson,
  generateName,
  invalid,
  isStatus,
  managedFieldsFault,
  sameButTimes,
  statusError,
  unknownError,
  type GroupVersionKind,
  type IpFamily,
  type KubeObject,
  type Resource,
  type StrategyContext,
} from "../../kube/index.ts";
import { StoreError, type Compare, type Operation } from "../../store/index.ts";
import { Entry, keyFor, storedBytes, type KindCache, type Storage } from "../storage/index.ts";
import { mutate, validate, type AdmissionChain, type WriteContext } from "./admission.ts";
import { deletionOf, isGone, type DeletionOptions } from "./deletion.ts";
import { alreadyExists, conflict, modified, notFound } from "./errors.ts";

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
  readonly admission: AdmissionChain;
  readonly allocate: Allocator;
  /** Whether `allocate` gives new objects of a kind anything. */
  readonly allocates: (resource: Resource) => boolean;
  readonly allowLoopback: boolean;
  /** The families that Services have addresses of, the primary one first. */
  readonly serviceFamilies: readonly IpFamily[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface Registry {
  /**
   * Asks admission about a part of an object that is no object of the store: a Binding, an Eviction, a TokenRequest, the options of a
   * connection. The object as admission made it. The write that follows, if there is one, has a context with `admitted`.
   */
  admit<T extends KubeObject>(
    context: WriteContext,
    part: { operation: "CREATE" | "CONNECT"; name: string; kind: GroupVersionKind; object: T },
  ): Promise<T>;
  get(resource: Resource, namespace: string, name: string): Promise<Entry>;
  create(context: WriteContext, object: KubeObject): Promise<Entry>;
  /**
   * Replaces the object named by what `produce` makes of the present one (a copy). With `retry`, another writer's change in between
   * means that `produce` is asked again, else Conflict. What is not there is made by `orCreate`, if the kind allows that or `force` says so;
   * with `uid` it is that object or a Conflict, also when it has gone.
   */
  update(
    context: WriteContext,
    name: string,
    produce: (current: KubeObject) => KubeObject | Promise<KubeObject>,
    options: {
      retry: boolean;
      orCreate?: () => KubeObject | Promise<KubeObject>;
      force?: boolean;
      uid?: string | undefined;
    },
  ): Promise<{ entry: Entry; created: boolean }>;
  /** The object as it is afterwards or was last; `gone` when it is not there any more; `revision` is that of the delete. */
  remove(
    context: WriteContext,
    name: string,
    options: DeletionOptions,
  ): Promise<{ entry: Entry; gone: boolean; revision: number }>;
}

/** Free addresses that others may take first before a request gives up. */
const allocations = 16;
/** Writers that may come in between one read and one write: more than there can be requests at once, and each round lets one through. */
const writers = 1024;
const noCompanion: Companion = { compare: [], operations: [] };

export function createRegistry(options: RegistryOptions): Registry {
  const { storage, admission, allocate, allocates, allowLoopback, serviceFamilies, now } = options;
  const strategyContext = (context: WriteContext): StrategyContext => ({
    now: timestamp(now()),
    ...(context.subresource ? { subresource: context.subresource } : {}),
    user: context.user,
    ...(context.shown ? { apiVersion: apiVersionOf(context.shown.resource) } : {}),
    allowLoopback,
    serviceFamilies,
  });

  /** The object as mutating admission leaves it, with its defaults. */
  const mutated = async (
    operation: "CREATE" | "UPDATE",
    context: WriteContext,
    name: string,
    object: KubeObject,
    old?: KubeObject,
  ): Promise<KubeObject> => {
    if (context.admitted) return object;
    const { shown } = context;
    const { managedFields } = object.metadata;
    if (!shown) {
      const request = { operation, context, name, object, ...(old ? { old } : {}) };
      return withValidManagers(context, (await mutate(admission, request)).object ?? object, managedFields);
    }
    const seen = await shown.show(object);
    const before = structuredClone(seen);
    const request = { operation, context, name, object: seen, ...(old ? { old: await shown.show(old) } : {}) };
    const after = (await mutate(admission, request)).object ?? seen;
    // A view may not show all that is stored: what nobody has changed is not taken back from it.
    return isDeepStrictEqual(before, after) ? object : shown.store(after, object);
  };

  const validated = async (
    operation: "CREATE" | "UPDATE",
    context: WriteContext,
    object: KubeObject,
    old?: KubeObject,
  ): Promise<void> => {
    if (context.admitted) return;
    const { shown } = context;
    const request = {
      operation,
      context,
      name: object.metadata.name,
      object: shown ? await shown.show(object) : object,
      ...(old ? { old: shown ? await shown.show(old) : old } : {}),
    };
    await validate(admission, request);
  };

  /** A delete is shown to both kinds of steps, with what is to go. */
  const admitDelete = async (context: WriteContext, name: string, old: KubeObject): Promise<void> => {
    if (context.admitted) return;
    const { shown } = context;
    const request = { operation: "DELETE", context, name, old: shown ? await shown.show(old) : old } as const;
    await mutate(admission, request);
    await validate(admission, request);
  };

  /** Writes one object, or removes it, if it still is as `current`. The entry, or what is there instead. */
  const commit = async (
    cache: KindCache,
    key: string,
    current: Entry | undefined,
    value: Uint8Array | undefined,
    companion: Companion,
  ): Promise<{ done: Entry; revision: number } | { failed: "object" | "companion"; current: Entry | undefined }> => {
    const result = await storage.write(
      [{ key, modRevision: current?.revision ?? 0 }, ...companion.compare],
      [value ? { type: "put", key, value } : { type: "delete", key }, ...companion.operations],
    );
    if (result.ok) {
      if (!value) return { done: current as Entry, revision: result.revision };
      const cached = cache.get(key);
      const done = cached?.revision === result.revision ? cached : cache.make(key, result.revision, value);
      return { done, revision: result.revision };
    }
    if (!result.current.has(key)) {
      // Someone else was given the same address: the caches shall know before another is chosen.
      await storage.reached(result.revision);
      return { failed: "companion", current };
    }
    const there = result.current.get(key);
    return { failed: "object", current: there && cache.make(key, there.modRevision, there.value) };
  };

  /** As `commit`; what is too large for the store is written without its managed fields, unless it was applied. */
  const commitObject = async (
    context: WriteContext,
    object: KubeObject,
    ...[cache, key, current, value, companion]: Parameters<typeof commit>
  ): ReturnType<typeof commit> => {
    try {
      return await commit(cache, key, current, value, companion);
    } catch (error) {
      const isTooLarge = error instanceof StoreError && error.code === "TOO_LARGE";
      if (!isTooLarge || !context.track || !object.metadata.managedFields) throw error;
      delete object.metadata.managedFields;
      return commit(cache, key, current, await bytesFor(context, object), companion);
    }
  };

  const read = async (resource: Resource, namespace: string, name: string): Promise<Entry | undefined> => {
    await storage.caughtUp();
    return storage.of(resource).get(keyFor(resource, { namespace, name }));
  };

  /** The bytes under which an object of a write is stored. */
  const bytesFor = ({ conversion, resource }: WriteContext, object: KubeObject): Uint8Array | Promise<Uint8Array> => {
    if (!conversion) return storedBytes(resource, object);
    const saved = conversion.save(object);
    const bytes = (stored: KubeObject): Uint8Array => storedBytes(conversion.stored, stored);
    return saved instanceof Promise ? saved.then(bytes) : bytes(saved);
  };

  /** Defaults, the kind's own rules, allocation and validation of an update. A binding writes only what the server itself made. */
  const prepareUpdate = (context: WriteContext, object: KubeObject, old: KubeObject): Companion => {
    if (context.subresource === "binding") return noCompanion;
    const { resource, strategy } = context;
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
    {
      validating,
      versioned,
      again,
    }: { readonly validating: boolean; readonly versioned: boolean; readonly again: boolean },
  ): Promise<Entry | "taken"> => {
    const { resource, strategy } = context;
    // Only an attempt that may be followed by another needs the object as it was before.
    const once = !again && !context.conversion && !allocates(resource);
    const cache = storage.of(resource);
    const key = keyFor(resource, { namespace: context.namespace, name: object.metadata.name });
    for (let attempt = 0; attempt < allocations; attempt++) {
      const draft = once ? object : cloneJson(object);
      const companion = allocate(resource, draft, undefined);
      const errors = strategy.validateCreate(draft, strategyIn);
      if (errors.length > 0) throw invalid(resource, draft.metadata.name, errors);
      if (validating && attempt === 0) {
        for (const warning of strategy.warnings(draft)) context.warn(warning);
        await validated("CREATE", context, draft);
      }
      const value = await bytesFor(context, draft);
      if (context.dryRun) {
        await storage.caughtUp();
        return cache.get(key) ? "taken" : new Entry(key, 0, value);
      }
      // Upstream's store refuses it, which a dry run does not come to.
      if (versioned) throw unknownError("resourceVersion should not be set on objects to be created");
      const result = await commitObject(context, draft, cache, key, undefined, value, companion);
      if ("done" in result) return result.done;
      if (result.failed === "object") return "taken";
    }
    throw statusError(
      "ServerTimeout",
      `no free address was found for ${resource.kind} ${object.metadata.name} in time`,
    );
  };

  const create: Registry["create"] = async (context, given) => {
    const { resource, namespace, strategy } = context;
    const strategyIn = strategyContext(context);
    const versioned = isRevision(given.metadata.resourceVersion);
    delete given.metadata.resourceVersion;
    given.metadata = { ...given.metadata, namespace };
    // Manifests often name a namespace also where there is none.
    if (!resource.namespaced) delete given.metadata.namespace;
    for (const field of serverFields) delete given.metadata[field];
    strategy.defaults(given);
    await context.track?.(given, undefined);
    const object = await mutated("CREATE", context, given.metadata.name ?? "", given);
    const { metadata } = object;
    const base = metadata.name ? "" : (metadata.generateName ?? "");
    object.metadata = { ...metadata, uid: randomUUID(), creationTimestamp: strategyIn.now };
    if (base) object.metadata.name = generateName(base, Math.random);
    // Validation says, beside what else is wrong, that there is none.
    else object.metadata.name ??= "";
    if (resource.namespaced && metadata.namespace !== namespace)
      throw statusError(
        "BadRequest",
        "the namespace of the provided object does not match the namespace sent on the request",
      );
    const loading = strategy.ready?.(object);
    if (loading) await loading;
    strategy.prepareForCreate(object, strategyIn);

    for (let attempt = 0; ; attempt++) {
      const entry = await createNamed(context, object, strategyIn, {
        validating: attempt === 0,
        versioned,
        again: base !== "",
      });
      if (entry !== "taken") return entry;
      if (!base || attempt >= 8) throw alreadyExists(resource, object.metadata.name);
      object.metadata.name = generateName(base, Math.random);
    }
  };

  return {
    async admit(context, { operation, name, kind, object }) {
      const request = { operation, context, name, kind, object };
      const after = ((await mutate(admission, request)).object ?? object) as typeof object;
      await validate(admission, { ...request, object: after });
      return after;
    },

    create,

    async get(resource, namespace, name) {
      const entry = await read(resource, namespace, name);
      if (!entry) throw notFound(resource, name);
      return entry;
    },

    async update(context, name, produce, { retry, orCreate, force = false, uid }) {
      const { resource, namespace } = context;
      const cache = storage.of(resource);
      const key = keyFor(resource, { namespace, name });
      let current = await read(resource, namespace, name);
      for (let attempt = 0; attempt < writers; attempt++) {
        if (!current) {
          checkUid(resource, { name, uid }, undefined);
          if (!orCreate || !(force || context.strategy.allowCreateOnUpdate)) throw notFound(resource, name);
          try {
            const made = await orCreate();
            // Of a PUT that creates it is not asked what it was made from.
            delete made.metadata.resourceVersion;
            return { entry: await create(context, made), created: true };
          } catch (error) {
            if (!force || !isStatus(error, "AlreadyExists")) throw error;
            // Someone else made it meanwhile: it is updated then.
            current = await read(resource, namespace, name);
            continue;
          }
        }
        const old = context.conversion ? await context.conversion.load(current) : current.object;
        const wanted = await produce(cloneJson(old));
        checkPreconditions(resource, wanted, old);
        wanted.metadata = keptMetadata(wanted.metadata, old.metadata);
        if (!context.admitted) context.strategy.defaults(wanted);
        await context.track?.(wanted, old);
        const object = await mutated("UPDATE", context, name, wanted, old);
        if (object !== wanted) object.metadata = keptMetadata(object.metadata, old.metadata);
        const loading = context.strategy.ready?.(object);
        if (loading) await loading;
        const companion = prepareUpdate(context, object, old);
        await validated("UPDATE", context, object, old);

        if (isSame(object, old) && isStoredAs(context, current)) return { entry: current, created: false };

        const value = await bytesFor(context, object);
        const last = cache.make(key, current.revision, value);
        if (context.dryRun) return { entry: last, created: false };
        const result = isGone(resource, object)
          ? await commit(cache, key, current, undefined, allocate(resource, undefined, old))
          : await commitObject(context, object, cache, key, current, value, companion);
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
        const old = context.conversion ? await context.conversion.load(current) : current.object;
        await admitDelete(context, name, old);
        const deletion = deletionOf(context, old, options, now());
        if (deletion.type === "pending") return { entry: current, gone: false, revision: current.revision };
        const value = deletion.type === "mark" ? await bytesFor(context, deletion.object) : undefined;
        if (context.dryRun) {
          const { revision } = current;
          return { entry: value ? cache.make(key, revision, value) : current, gone: !value, revision };
        }
        const companion = value ? noCompanion : allocate(resource, undefined, old);
        const result = await commit(cache, key, current, value, companion);
        if ("done" in result) return { entry: result.done, gone: !value, revision: result.revision };
        current = result.current;
      }
      throw modified(resource, name);
    },
  };
}

/** False for an object that is stored in another version than the one for new objects: any write makes it new. */
function isStoredAs({ conversion }: WriteContext, { object }: Entry): boolean {
  return !conversion || object.apiVersion === apiVersionOf(conversion.stored);
}

/** RFC 3339 in UTC with whole seconds, as metav1.Time. */
export function timestamp(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== lastTime.second) lastTime = { second, text: `${new Date(ms).toISOString().slice(0, 19)}Z` };
  return lastTime.text;
}

/** What was said last: requests of the same second share it. */
let lastTime = { second: Number.NaN, text: "" };

/** Upstream creates what has "0" or no number there. */
function isRevision(version: string | undefined): boolean {
  return version !== undefined && /^[0-9]+$/.test(version) && Number(version) > 0;
}

/** An object that names its uid is that one object: what has gone meanwhile is not made anew by whoever writes it late. */
function checkUid(
  resource: Resource,
  { name, uid }: { readonly name: string; readonly uid?: string | undefined },
  old: KubeObject | undefined,
): void {
  const known = old?.metadata.uid ?? "";
  if (uid && uid !== known)
    throw conflict(resource, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${known}`);
}

function checkPreconditions(resource: Resource, object: KubeObject, old: KubeObject): void {
  const { name, resourceVersion } = object.metadata;
  checkUid(resource, object.metadata, old);
  // Upstream has no kind of error for a version that is none.
  if (resourceVersion && !/^\d+$/.test(resourceVersion))
    throw unknownError(`strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`);
  if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) throw modified(resource, name);
}

/** What no update changes: who the object is, since when, and whether it is being deleted. */
function keptMetadata(metadata: KubeObject["metadata"], old: KubeObject["metadata"]): KubeObject["metadata"] {
  const kept = { ...metadata };
  for (const field of ["selfLink", "resourceVersion"] as const) delete kept[field];
  for (const field of ownFields) {
    delete kept[field];
    if (old[field] !== undefined) Object.assign(kept, { [field]: old[field] });
  }
  return kept;
}

/** What only the server says of a new object. */
const serverFields = [
  "uid",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "selfLink",
] as const;

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

/** True when a write would change nothing but the times of managed fields: then none is made, and the version stays. */
function isSame(object: KubeObject, old: KubeObject): boolean {
  const { resourceVersion: _revision, managedFields: before = [], ...metadata } = old.metadata;
  const { managedFields: after = [], ...rest } = object.metadata;
  return sameButTimes(after, before) && isDeepStrictEqual({ ...object, metadata: rest }, { ...old, metadata });
}

/** The object with the managed fields that it had before admission, if admission made them invalid. */
function withValidManagers(
  context: WriteContext,
  object: KubeObject,
  managedFields: KubeObject["metadata"]["managedFields"],
): KubeObject {
  const after = object.metadata.managedFields;
  const fault = after && after !== managedFields ? managedFieldsFault(after) : undefined;
  if (fault === undefined) return object;
  context.warn(
    ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission " +
      `controller; please fix your requests: ${fault}`,
  );
  if (managedFields) object.metadata.managedFields = managedFields;
  else delete object.metadata.managedFields;
  return object;
}
