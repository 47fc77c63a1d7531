import { createEventRecorder, createInformers, startController, unless, type Informer } from "../../client/index.ts";
import {
  keyOf,
  type KubeObject,
  nameOfKey,
  type OwnerReference,
  type Resource,
  resources,
  semanticEqual,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { customKindOf } from "../custom-kinds.ts";
import { createGraph, type Graph, idOf, type Item, ownerName } from "./graph.ts";

const foreground = "foregroundDeletion";
const orphan = "orphan";

/** Owners that are remembered as looked for, at most. */
const searchedLimit = 500;

/**
 * Removes what has lost all its owners, and carries out the propagation policies of a delete: Background (dependents follow),
 * Foreground (dependents go first, those that block are waited for) and Orphan (dependents are let go). Before anything is
 * deleted its owners are looked up in the API itself.
 */
export function startGarbageCollector(context: ControllerContext): Component {
  const { client } = context;
  const graph = createGraph(context.informers);
  const events = createEventRecorder(client, { ...context, component: "garbage-collector-controller" });
  /** Owners that were looked for in other namespaces, by uid, and whether they are there. Many objects may name the same one. */
  const searched = new Map<string, boolean>();

  /** Tells of an owner reference into another namespace: nothing can own what is not beside it. */
  const warnOfNamespace = (object: KubeObject, owner: OwnerReference): void => {
    const elsewhere = searched.get(owner.uid) ?? graph.isElsewhere(object, owner);
    searched.set(owner.uid, elsewhere);
    const [oldest] = searched.size > searchedLimit ? searched.keys() : [];
    if (oldest !== undefined) searched.delete(oldest);
    if (!elsewhere) return;
    const { apiVersion, kind, name, uid } = owner;
    const { namespace = "" } = object.metadata;
    const reference = `[${apiVersion}/${kind}, namespace: ${namespace}, name: ${name}, uid: ${uid}]`;
    const text = `ownerRef ${reference} does not exist in namespace ${JSON.stringify(namespace)}`;
    events.event(object, "Warning", "OwnerRefInvalidNamespace", text);
  };

  /** How an owner stands to a dependent: there, gone, or waiting for its dependents to go. */
  const standing = async (object: KubeObject, owner: OwnerReference): Promise<"solid" | "absent" | "waiting"> => {
    const cached = graph.ownerOf(object, owner);
    if (cached) return isWaiting(cached.object) ? "waiting" : "solid";
    const resource = graph.kindOf(owner);
    // Of a kind that isn't known here, or from a namespace into none: nothing can be said, so nothing is done.
    if (!resource) return "solid";
    if (resource.namespaced && !object.metadata.namespace) {
      warnOfNamespace(object, owner);
      return "solid";
    }
    const live = await unless(client.get(resource, ownerName(resource, object, owner)), "NotFound");
    if (live?.metadata.uid !== owner.uid) {
      warnOfNamespace(object, owner);
      return "absent";
    }
    return isWaiting(live) ? "waiting" : "solid";
  };

  const collect = async (item: Item): Promise<void> => {
    const { object, resource } = item;
    const owners = object.metadata.ownerReferences ?? [];
    if (owners.length === 0 || object.metadata.deletionTimestamp) return;
    const found = await Promise.all(owners.map(async (owner) => ({ owner, state: await standing(object, owner) })));
    const solid = found.filter(({ state }) => state === "solid").map(({ owner }) => owner);
    if (solid.length === found.length) return;
    if (solid.length > 0) {
      await setMetadata(item, { ownerReferences: solid });
      return;
    }
    const isAwaited = found.some(({ state }) => state === "waiting");
    const dependents = graph.dependentsOf(object.metadata.uid ?? "");
    const finalizers = object.metadata.finalizers ?? [];
    const inForeground = finalizers.includes(foreground) || (isAwaited && dependents.length > 0);
    let current = object;
    if (isAwaited && dependents.some((dependent) => isWaiting(dependent.object))) {
      // A circle, perhaps: each would wait for the next. One that blocks nobody opens it.
      const open = owners.map((owner) => ({ ...owner, blockOwnerDeletion: false }));
      current = (await setMetadata(item, { ownerReferences: open })) ?? object;
    }
    const { uid, resourceVersion } = current.metadata;
    await unless(
      client.delete(resource, nameOfKey(keyOf(object)), {
        propagationPolicy: finalizers.includes(orphan) ? "Orphan" : inForeground ? "Foreground" : "Background",
        // An owner that was set meanwhile makes this a conflict.
        preconditions: { ...(uid ? { uid } : {}), ...(resourceVersion ? { resourceVersion } : {}) },
      }),
      "NotFound",
    );
  };

  /** The step that an object asks for which is being deleted in the foreground: its dependents first. */
  const finishForeground = async (item: Item): Promise<void> => {
    const { uid = "" } = item.object.metadata;
    const dependents = graph.dependentsOf(uid);
    const blocks = ({ object }: Item) =>
      (object.metadata.ownerReferences ?? []).some((owner) => owner.uid === uid && owner.blockOwnerDeletion === true);
    if (dependents.some(blocks)) for (const dependent of dependents) controller.enqueue(idOf(dependent));
    else await removeFinalizer(item, foreground);
  };

  const finishOrphan = async (item: Item): Promise<void> => {
    const { uid = "" } = item.object.metadata;
    for (const dependent of graph.dependentsOf(uid)) {
      const rest = (dependent.object.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
      await setMetadata(dependent, { ownerReferences: rest });
    }
    await removeFinalizer(item, orphan);
  };

  const setMetadata = (
    { resource, object }: Item,
    metadata: Partial<KubeObject["metadata"]>,
  ): Promise<KubeObject | undefined> => {
    const { uid, resourceVersion } = object.metadata;
    const body = { metadata: { uid, resourceVersion, ...metadata } };
    return unless(client.patch(resource, nameOfKey(keyOf(object)), { type: "merge", body }), "NotFound");
  };
  const removeFinalizer = (item: Item, name: string): Promise<unknown> =>
    setMetadata(item, {
      finalizers: (item.object.metadata.finalizers ?? []).filter((finalizer) => finalizer !== name),
    });

  const reconcile = async (id: string): Promise<void> => {
    const item = graph.find(id);
    if (!item) return;
    const { deletionTimestamp, finalizers = [] } = item.object.metadata;
    if (deletionTimestamp && finalizers.includes(orphan)) await finishOrphan(item);
    else if (deletionTimestamp && finalizers.includes(foreground)) await finishForeground(item);
    else await collect(item);
  };

  const controller = startController({
    ...context,
    name: "garbage collector",
    reconcile,
    concurrency: 10,
    after: graph.informers.map(({ synced }) => synced),
  });

  const follow = (informer: Informer<KubeObject>): void => {
    const { resource } = informer;
    informer.onChange(({ before, after }) => {
      const object = after ?? before;
      if (!object) return;
      const item: Item = { resource, object };
      const owners = object.metadata.ownerReferences ?? [];
      if (!after) {
        for (const dependent of graph.dependentsOf(object.metadata.uid ?? "")) controller.enqueue(idOf(dependent));
      } else if (
        (!before && owners.length > 0) ||
        (before && !semanticEqual(before.metadata.ownerReferences, owners)) ||
        (after.metadata.deletionTimestamp &&
          (after.metadata.finalizers ?? []).some((name) => name === orphan || name === foreground))
      ) {
        controller.enqueue(idOf(item));
      }
      // An owner may be waiting for just this one.
      const lost = before && (!after || !semanticEqual(before.metadata.ownerReferences, owners));
      for (const owner of lost ? (before.metadata.ownerReferences ?? []) : []) {
        const waiting = graph.ownerOf(object, owner);
        if (waiting && isWaiting(waiting.object)) controller.enqueue(idOf(waiting));
      }
    });
  };
  for (const informer of graph.informers) follow(informer);
  followDefinitions(context, graph, follow);
  return controller;
}

const isWaiting = ({ metadata }: KubeObject): boolean =>
  metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).includes(foreground);

/** Objects of kinds that were defined own and are owned like all others, as long as their definition is there. */
function followDefinitions(
  { client, clock, informers, log, signal }: ControllerContext,
  graph: Graph,
  follow: (informer: Informer<KubeObject>) => void,
): void {
  const followed = new Map<string, { readonly kind: Resource; readonly stop: AbortController }>();
  informers.of(resources.CustomResourceDefinition).onChange(({ before, after }) => {
    const uid = (after ?? before)?.metadata.uid ?? "";
    const kind = after && customKindOf(after);
    const known = followed.get(uid);
    if (known && (!kind || kind.version !== known.kind.version)) {
      known.stop.abort();
      graph.remove(known.kind);
      followed.delete(uid);
    }
    if (!kind || followed.has(uid)) return;
    const stop = new AbortController();
    followed.set(uid, { kind, stop });
    follow(graph.add(createInformers(client, { signal: AbortSignal.any([signal, stop.signal]), log, clock }), kind));
  });
}
