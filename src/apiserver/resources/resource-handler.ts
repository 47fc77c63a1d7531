import { invalid, isStatus, statusError, StatusError, type KubeObject, type Resource } from "../../kube/index.ts";
import type { Store } from "../../store/index.ts";
import type { Clock } from "../../system/index.ts";
import { authorize, type Authorizer } from "../auth/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import { methodNotAllowed, type DeletionOptions, type Registry, type WriteContext } from "../registry/index.ts";
import { readObject } from "../request/body.ts";
import { readDeletion } from "../request/deletion.ts";
import { negotiate } from "../request/negotiate.ts";
import { listQuery, versionParam, watchQuery, writeQuery, type WriteQuery } from "../request/params.ts";
import type { ResourceInfo } from "../request/request-info.ts";
import { bodyResponse, errorResponse, objectResponse, success, watchResponse } from "../request/respond.ts";
import { selection, type Selection } from "../request/selection.ts";
import { warningHeader } from "../request/warnings.ts";
import { atRevision, listEntries, openWatch, tooLarge, type Entry, type Form, type Storage } from "../storage/index.ts";
import { anonymous, contextOf, notFoundPath } from "./context.ts";
import { formFor } from "./form-for.ts";
import { checkApplied, readApply } from "./apply.ts";
import { managerOf, type FieldTracking } from "./field-tracking.ts";
import { isApply, readPatch } from "./patch.ts";
import type { ProtobufForms } from "./protobuf-form.ts";
import type { Served } from "./served.ts";

export interface ResourceHandlerOptions {
  readonly store: Store;
  readonly storage: Storage;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly authorizer: Authorizer;
  readonly tracking: FieldTracking;
  readonly protobuf: ProtobufForms;
}

/** One request to a collection, an object of it or its status. */
export type ResourceHandler = (request: ApiRequest, info: ResourceInfo, served: Served) => Promise<ApiResponse>;

/** Deletes of a collection that are under way together: they share the store's syncs. */
const removedAtOnce = 32;

export function createResourceHandler({
  store,
  storage,
  registry,
  clock,
  authorizer,
  tracking,
  protobuf,
}: ResourceHandlerOptions): ResourceHandler {
  const cacheOf = (served: Served) => storage.of(served.stored);
  const forms = { now: () => clock.now(), protobuf };
  const formOf = (request: ApiRequest, served: Served): Form =>
    formFor(served, negotiate(request.headers["accept"], !served.conversion), request.query, forms);

  const list: ResourceHandler = async (request, info, served) => {
    const form = formOf(request, served);
    const chosen = chosenBy(request, info, served);
    const query = listQuery(request.query);
    const { entries, meta } = await listEntries({ store, storage, cache: cacheOf(served), query, ...chosen });
    if (form.prepare) await form.prepare(entries);
    return bodyResponse(200, form.list(entries, meta), deprecationHeader(served));
  };

  const watch: ResourceHandler = async (request, info, served) => {
    const form = formOf(request, served);
    const { prefix, selects = () => true } = chosenBy(request, info, served);
    const query = watchQuery(request.query);
    const { signal } = request;
    if (form.prepare) await form.prepare([]);
    return watchResponse(
      await openWatch({ storage, cache: cacheOf(served), prefix, selects, query, form, clock, signal }),
      form.stream?.type,
    );
  };

  const get: ResourceHandler = async (request, info, served) => {
    const form = formOf(request, served);
    const wanted = versionParam(request.query);
    if (Number(wanted) > storage.revision && !(await storage.reached(Number(wanted), 3000)))
      throw tooLarge(wanted, storage.revision);
    const entry = await registry.get(served.stored, info.namespace, info.name);
    if (form.prepare) await form.prepare([entry]);
    return bodyResponse(200, form.one(entry), deprecationHeader(served));
  };

  const create: ResourceHandler = async (request, info, served) => {
    if (served.resource.namespaced && !info.namespace) throw methodNotAllowed();
    const write = beginWrite(request, info, served, "CreateOptions");
    const object = await readObject<KubeObject>(request, served.resource, write.query.fieldValidation, write.warn);
    checkNamespace(object, info.namespace, served);
    const entry = await registry.create(write.context, served.view ? served.view.store(object) : object);
    return write.answer(201, entry);
  };

  const update: ResourceHandler = async (request, info, served) => {
    const write = beginWrite(request, info, served, "UpdateOptions");
    const shown = await readObject<KubeObject>(request, served.resource, write.query.fieldValidation, write.warn);
    const { metadata } = shown;
    checkNamespace(shown, info.namespace, served);
    checkName(metadata.name, info.name);
    const object = served.view ? served.view.store(shown) : shown;
    const replacement = (): KubeObject => {
      if (!metadata.resourceVersion && served.strategy.allowUnconditionalUpdate === false)
        throw invalid({ group: served.resource.group, kind: served.resource.plural }, info.name, [
          { type: "Invalid", field: "metadata.resourceVersion", value: 0, detail: "must be specified for an update" },
        ]);
      return structuredClone(object);
    };
    const { entry, created } = await registry.update(write.context, info.name, replacement, {
      retry: !metadata.resourceVersion,
      uid: metadata.uid,
      ...(info.subresource
        ? {}
        : {
            orCreate: () => {
              authorize(authorizer, request.user ?? anonymous, { ...info, verb: "create" });
              return structuredClone(object);
            },
          }),
    });
    return write.answer(created ? 201 : 200, entry);
  };

  const patch: ResourceHandler = (request, info, served) =>
    isApply(request, served.resource) ? apply(request, info, served) : change(request, info, served);

  const apply: ResourceHandler = async (request, info, served) => {
    const write = beginWrite(request, info, served, "PatchOptions", { applies: true });
    const { resource, view } = served;
    const kind = tracking.kindOf(served, info.subresource);
    const { force, fieldValidation } = write.query;
    const options = {
      manager: managerOf(request),
      force,
      now: () => tracking.now(),
      fieldValidation,
      warn: write.warn,
    };
    const applied = await readApply(request, kind, resource, options);
    const produce = async (stored: KubeObject): Promise<KubeObject> => {
      const shown = view ? view.show(stored) : stored;
      const object = await applied(shown);
      checkPatched(shown, object, resource);
      return view ? view.store(object) : object;
    };
    const orCreate = async (): Promise<KubeObject> => {
      const object = await applied(undefined);
      checkApplied(resource, object, info.name, info.namespace);
      authorize(authorizer, request.user ?? anonymous, { ...info, verb: "create" });
      return view ? view.store(object) : object;
    };
    const { entry, created } = await registry.update(write.context, info.name, produce, {
      retry: true,
      force: true,
      ...(info.subresource ? {} : { orCreate }),
    });
    return write.answer(created ? 201 : 200, entry);
  };

  const change: ResourceHandler = async (request, info, served) => {
    const write = beginWrite(request, info, served, "PatchOptions");
    const patched = await readPatch(request, write.query.fieldValidation, write.warn);
    const { view, resource } = served;
    const produce = (stored: KubeObject): KubeObject => {
      const shown = view ? view.show(stored) : stored;
      const object = patched(resource, shown);
      checkPatched(shown, object, resource);
      return view ? view.store(object) : object;
    };
    const { entry } = await registry.update(write.context, info.name, produce, { retry: true });
    return write.answer(200, entry);
  };

  const remove: ResourceHandler = async (request, info, served) => {
    const { dryRun, ...options } = await readDeletion(request);
    const write = beginWrite(request, info, served, "DeleteOptions", { dryRun });
    for (const text of served.strategy.deletionWarnings?.(options.propagationPolicy) ?? []) write.warn(text);
    const { entry, gone, revision } = await registry.remove(deleting(write.context, options), info.name, options);
    if (!gone) return write.answer(200, entry);
    if (served.returnsDeleted) return write.answer(200, atRevision(entry, revision));
    const { group, plural } = served.resource;
    const uid = entry.object.metadata.uid;
    return objectResponse(
      200,
      success({ name: info.name, ...(group ? { group } : {}), kind: plural, ...(uid ? { uid } : {}) }),
      warningHeader(warned.get(request) ?? []),
    );
  };

  const removeAll: ResourceHandler = async (request, info, served) => {
    if (served.resource.namespaced && !info.namespace) throw methodNotAllowed();
    const { dryRun, ...options } = await readDeletion(request);
    const form = formOf(request, served);
    const chosen = chosenBy(request, info, served);
    const query = listQuery(request.query);
    const { entries, meta } = await listEntries({ store, storage, cache: cacheOf(served), query, ...chosen });
    const write = beginWrite(request, info, served, "DeleteOptions", { dryRun });
    for (const text of served.strategy.deletionWarnings?.(options.propagationPolicy) ?? []) write.warn(text);
    for (let i = 0; i < entries.length; i += removedAtOnce) {
      await Promise.all(
        entries.slice(i, i + removedAtOnce).map((entry) =>
          registry
            .remove(deleting(write.context, options), entry.object.metadata.name, options)
            .catch((error: unknown) => {
              // Someone else was quicker.
              if (!isStatus(error, "NotFound")) throw error;
            }),
        ),
      );
    }
    if (form.prepare) await form.prepare(entries);
    return bodyResponse(200, form.list(entries, meta), warningHeader(warned.get(request) ?? []));
  };

  interface Write {
    readonly query: WriteQuery;
    readonly context: WriteContext;
    readonly warn: (text: string) => void;
    answer(status: number, entry: Entry): ApiResponse | Promise<ApiResponse>;
  }

  /** What the writes under way have warned of. */
  const warned = new WeakMap<ApiRequest, readonly string[]>();

  const beginWrite = (
    request: ApiRequest,
    info: ResourceInfo,
    served: Served,
    options: string,
    { dryRun = false, applies = false } = {},
  ): Write => {
    const query = writeQuery(request.query, options, applies);
    const form = formOf(request, served);
    const warnings: string[] = served.deprecation === undefined ? [] : [served.deprecation];
    warned.set(request, warnings);
    const warn = (text: string): void => {
      warnings.push(text);
    };
    const context = contextOf(request, info, served, query.dryRun || dryRun, warn);
    const isTracked = !applies && options !== "DeleteOptions";
    return {
      query,
      context: isTracked ? { ...context, track: tracking.trackerOf(request, served, info.subresource) } : context,
      warn,
      answer(status, entry) {
        const answer = (): ApiResponse => bodyResponse(status, form.one(entry), warningHeader(warnings));
        const prepared = form.prepare?.([entry]);
        return prepared ? prepared.then(answer) : answer();
      },
    };
  };

  const handlers: Record<ResourceInfo["verb"], ResourceHandler> = {
    list,
    watch,
    get,
    create,
    update,
    patch,
    delete: remove,
    deletecollection: removeAll,
    "": () => Promise.reject(methodNotAllowed()),
  };
  return (request, info, served) => {
    checkVerb(request, info, served);
    return handlers[info.verb](request, info, served).catch((error: unknown) => {
      // Who is refused is warned too.
      const warnings = warned.get(request) ?? [];
      if (!(error instanceof StatusError) || warnings.length === 0) throw error;
      return errorResponse(error, warningHeader(warnings));
    });
  };
}

/** What a method may be used on: upstream has another router for custom resources than for its own kinds. */
function checkVerb({ method }: ApiRequest, { verb, name, namespace }: ResourceInfo, served: Served): void {
  const { resource, verbs, conversion } = served;
  if (!verbs.includes(verb)) throw methodNotAllowed();
  if (conversion) {
    if ((verb === "update" || verb === "patch") && !name) throw statusError("BadRequest", "name must be provided");
    return;
  }
  if (method === "HEAD") throw methodNotAllowed();
  if (verb === "create" && name) throw methodNotAllowed();
  if ((verb === "update" || verb === "patch") && !name) throw methodNotAllowed();
  if (resource.namespaced && name && !namespace) throw notFoundPath();
}

function deprecationHeader({ deprecation }: Served): Record<string, string> {
  return deprecation === undefined ? {} : warningHeader([deprecation]);
}

function chosenBy(
  { query }: ApiRequest,
  { namespace, name }: ResourceInfo,
  { stored, strategy, view, conversion }: Served,
): Selection {
  return selection(
    { resource: stored, strategy, custom: conversion !== undefined },
    namespace,
    name,
    query,
    view?.fieldOf,
  );
}

/** The options of a delete come in its body too. */
function deleting(context: WriteContext, given: DeletionOptions): WriteContext {
  const { gracePeriodSeconds, propagationPolicy, preconditions } = given;
  return {
    ...context,
    options: () => ({
      ...context.options?.(),
      ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
      ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
      ...(preconditions && Object.keys(preconditions).length > 0 ? { preconditions } : {}),
    }),
  };
}

function checkNamespace(object: KubeObject, namespace: string, served: Served): void {
  const given = object.metadata.namespace ?? "";
  if (!served.resource.namespaced) return;
  if (given !== "" && given !== namespace)
    throw statusError(
      "BadRequest",
      `the namespace of the provided object does not match the namespace sent on the request`,
    );
}

/** What is written has the name of the URL (apiserver's `checkName`). */
function checkName(given: string | undefined, name: string): void {
  if (!given)
    throw statusError(
      "BadRequest",
      `the name of the object (${name} based on URL) was undeterminable: name must be provided`,
    );
  if (given !== name)
    throw statusError("BadRequest", `the name of the object (${given}) does not match the name on the URL (${name})`);
}

/** A patch may not make another object of it. */
function checkPatched(before: KubeObject, after: KubeObject, { namespaced }: Resource): void {
  const { name, namespace = "" } = before.metadata;
  checkName(after.metadata.name, name);
  if (namespaced && (after.metadata.namespace ?? "") !== namespace)
    throw statusError(
      "BadRequest",
      `the namespace of the object (${after.metadata.namespace ?? ""}) does not match the namespace on the URL (${namespace})`,
    );
}
