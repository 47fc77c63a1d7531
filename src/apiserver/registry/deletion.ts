import type { KubeObject, Namespace, Resource, Strategy } from "../../kube/index.ts";
import { conflict } from "./errors.ts";
import { timestamp } from "./registry.ts";

export interface DeletionOptions {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: "Orphan" | "Background" | "Foreground" | undefined;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string } | undefined;
}

/** What a delete does to an object: it goes, it is marked and waits for its finalizers or its grace period, or it waits already. */
export type Deletion =
  | { readonly type: "gone" }
  | { readonly type: "mark"; readonly object: KubeObject }
  | { readonly type: "pending" };

const orphan = "orphan";
const foreground = "foregroundDeletion";

/**
 * Decides a delete as apiserver's `rest.BeforeDelete` and `Store.Delete` do. Throws StatusError Conflict when a precondition does
 * not hold. `now` in milliseconds.
 */
export function deletionOf(
  { resource, strategy }: { resource: Resource; strategy: Strategy },
  old: KubeObject,
  options: DeletionOptions,
  now: number,
): Deletion {
  checkPreconditions(resource, old, options);
  const object = structuredClone(old);
  const { metadata } = object;
  const finalizers = finalizersAfter(metadata.finalizers ?? [], options.propagationPolicy, strategy.garbageCollection);
  const finalizersChanged = finalizers.join() !== (metadata.finalizers ?? []).join();
  if (finalizersChanged) setFinalizers(metadata, finalizers);

  if (resource.kind === "Namespace" && resource.group === "") return namespaceDeletion(object, finalizersChanged, now);

  if (metadata.deletionTimestamp) return laterDelete(object, options, finalizersChanged);
  if (strategy.prepareForDelete) {
    strategy.prepareForDelete(object, { now: timestamp(now) });
    metadata.deletionTimestamp = timestamp(now);
    return { type: "mark", object };
  }

  const grace = gracePeriod(strategy, object, options);
  if ((metadata.finalizers ?? []).length === 0 && grace === 0) return { type: "gone" };
  metadata.deletionTimestamp = timestamp(now + grace * 1000);
  metadata.deletionGracePeriodSeconds = grace;
  if (metadata.generation) metadata.generation += 1;
  return { type: "mark", object };
}

/** True when an object that is being deleted waits for nothing any more. */
export function isGone(resource: Resource, object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata;
  if (!deletionTimestamp || finalizers.length > 0 || deletionGracePeriodSeconds > 0) return false;
  const isNamespace = resource.kind === "Namespace" && resource.group === "";
  return !isNamespace || ((object as Namespace).spec?.finalizers ?? []).length === 0;
}

/** A delete of what is being deleted may only shorten the grace period. */
function laterDelete(object: KubeObject, options: DeletionOptions, finalizersChanged: boolean): Deletion {
  const { metadata } = object;
  const pending = metadata.deletionGracePeriodSeconds ?? 0;
  const waits = (metadata.finalizers ?? []).length > 0;
  if (pending === 0) {
    if (!waits) return { type: "gone" };
    return finalizersChanged ? { type: "mark", object } : { type: "pending" };
  }
  const wanted = options.gracePeriodSeconds;
  if (wanted === undefined || wanted >= pending) return { type: "pending" };
  const period = Math.max(wanted, wanted < 0 ? 1 : 0);
  if (period === 0 && !waits) return { type: "gone" };
  metadata.deletionTimestamp = timestamp(Date.parse(metadata.deletionTimestamp ?? "") - (pending - period) * 1000);
  metadata.deletionGracePeriodSeconds = period;
  return { type: "mark", object };
}

/** A namespace is marked, emptied by its controller, and goes when nobody holds it any more. */
function namespaceDeletion(object: KubeObject, finalizersChanged: boolean, now: number): Deletion {
  const namespace = object as Namespace;
  if (!namespace.metadata.deletionTimestamp) {
    namespace.metadata.deletionTimestamp = timestamp(now);
    namespace.status = { ...namespace.status, phase: "Terminating" };
    return (namespace.spec?.finalizers ?? []).length === 0 && (namespace.metadata.finalizers ?? []).length === 0
      ? { type: "gone" }
      : { type: "mark", object: namespace };
  }
  if (finalizersChanged) return { type: "mark", object: namespace };
  const held = (namespace.spec?.finalizers ?? []).length + (namespace.metadata.finalizers ?? []).length > 0;
  return held ? { type: "pending" } : { type: "gone" };
}

function gracePeriod(strategy: Strategy, object: KubeObject, options: DeletionOptions): number {
  const own = strategy.gracePeriodSeconds(object);
  // Kinds that go at once, and pods that run nowhere.
  if (own === 0) return 0;
  const wanted = options.gracePeriodSeconds ?? own;
  return wanted < 0 ? 1 : wanted;
}

/** What a request says about dependents counts, then the finalizers that are there, then the kind. */
function finalizersAfter(
  finalizers: readonly string[],
  policy: DeletionOptions["propagationPolicy"],
  kind: Strategy["garbageCollection"],
): string[] {
  const others = finalizers.filter((finalizer) => finalizer !== orphan && finalizer !== foreground);
  if (kind === "unsupported") return others;
  if (policy === undefined)
    return kind === "orphan" && others.length === finalizers.length ? [...others, orphan] : [...finalizers];
  if (policy === "Orphan") return [...others, orphan];
  if (policy === "Foreground") return [...others, foreground];
  return others;
}

function setFinalizers(metadata: KubeObject["metadata"], finalizers: string[]): void {
  if (finalizers.length > 0) metadata.finalizers = finalizers;
  else delete metadata.finalizers;
}

/** Throws StatusError Conflict when a precondition does not hold. */
export function checkPreconditions(resource: Resource, object: KubeObject, { preconditions }: DeletionOptions): void {
  const { name, uid = "", resourceVersion = "" } = object.metadata;
  // Upstream names the kind here, not the resource.
  const kind = { group: resource.group, plural: resource.kind };
  if (preconditions?.uid !== undefined && preconditions.uid !== uid)
    throw conflict(
      kind,
      name,
      `the UID in the precondition (${preconditions.uid}) does not match the UID in record (${uid}). ` +
        "The object might have been deleted and then recreated",
    );
  if (preconditions?.resourceVersion !== undefined && preconditions.resourceVersion !== resourceVersion)
    throw conflict(
      kind,
      name,
      `the ResourceVersion in the precondition (${preconditions.resourceVersion}) does not match the ResourceVersion in ` +
        `record (${resourceVersion}). The object might have been modified`,
    );
}
