import type { ManagedFieldsEntry } from "../generated/types.ts";
import type { KubeObject } from "../object.ts";
import { jsonEqual } from "../values/equal.ts";
import type { Atom } from "./atom.ts";
import { compare, type Comparison } from "./compare.ts";
import { difference, emptySet, intersection, isEmpty, setOf, union, type FieldSet } from "./field-set.ts";
import {
  capUpdates,
  dropEmpty,
  entryOf,
  identify,
  isReset,
  ManagersError,
  readManagers,
  trustedManagers,
  writeManagers,
  type Manager,
  type Managers,
} from "./managers.ts";
import { fieldElement, FieldSetError } from "./path-element.ts";
import type { ResetFields } from "./reset-fields.ts";
import { reconciled } from "./schema-set.ts";

/** One version of a kind, as far as managing its fields goes. */
export interface ManagedVersion {
  /** `v1`, `apps/v1`. */
  readonly apiVersion: string;
  readonly atom: Atom;
  /** The object in this version. */
  convert(object: KubeObject): KubeObject | Promise<KubeObject>;
}

/** A kind, and the part of it that a request writes. */
export interface ManagedKind {
  readonly kind: string;
  /** The version that the request speaks. */
  readonly version: ManagedVersion;
  /** "" for the whole object. */
  readonly subresource: string;
  readonly reset: ResetFields;
  /** An object of the kind with nothing in it. */
  readonly empty: KubeObject;
  /** The structure of the kind may change while it is served. */
  readonly changeable: boolean;
  /** A version that managers may have spoken; undefined when it is served no more. */
  versionOf(apiVersion: string): ManagedVersion | undefined;
}

/** A write: who makes it, and when (RFC 3339). */
export interface Writer {
  readonly manager: string;
  readonly now: string;
}

/** What belongs to the server in every object. */
const stripped = setOf(
  ...["apiVersion", "kind", "metadata"].map((field) => [fieldElement(field)]),
  ...[
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
  ].map((field) => [fieldElement("metadata"), fieldElement(field)]),
);

export const strip = (set: FieldSet): FieldSet => difference(set, stripped);

/** The object without its managed fields; the rest is shared. */
export function unmanaged<T extends KubeObject>(object: T): T {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _managed, ...metadata } = object.metadata;
  return { ...object, metadata };
}

const managedFieldsOf = (object: KubeObject | undefined): ManagedFieldsEntry[] => object?.metadata.managedFields ?? [];

/**
 * Puts into `object`, in place, who manages its fields after it was written over `old`: by a create (`old` absent), an update or a patch.
 * Managed fields that the client changed hold, when they are valid; those of a part's request do not. A write that changes
 * nothing changes no manager and no time. Returns at once unless managers spoke other versions of the kind.
 */
export function trackUpdate(
  kind: ManagedKind,
  writer: Writer,
  object: KubeObject,
  old: KubeObject | undefined,
): void | Promise<void> {
  const kept = managedFieldsOf(old);
  const given = object.metadata.managedFields;
  const isKept = kind.subresource !== "" || given === undefined || jsonEqual(given, kept);
  const managers = isKept ? trustedManagers(kept) : givenManagers(given, kept);
  delete object.metadata.managedFields;
  // What nobody managed before is not managed from now on, unless it is new.
  if (managers.size === 0 && old) return;
  const { version } = kind;
  const before = old ? unmanaged(old) : kind.empty;
  try {
    const own = compare(version.atom, before, object, true);
    // By far the most writes of managed fields: a create has no other managers.
    if (!old && managers.size === 0) {
      const mine = strip(kind.reset(own.changed));
      return setManagers(object, isEmpty(mine) ? [] : [entryOf(updateBy(kind, writer, mine))]);
    }
    const comparisons = new Map<string, Comparison | undefined>([[version.apiVersion, filtered(kind, own)]]);
    const others = foreignVersions(kind, managers);
    if (others.length > 0)
      return compareIn(kind, others, before, object, comparisons).then(
        () => finish(kind, writer, object, managers, comparisons),
        // The object can not be shown in a version that somebody spoke: its managers stay.
        () => setManagers(object, kept),
      );
    if (isKept && isEmpty(own.changed) && isEmpty(own.removed)) return setManagers(object, kept);
    finish(kind, writer, object, managers, comparisons);
  } catch (error) {
    if (!isFieldsError(error)) throw error;
    // An object whose lists cannot be told apart by their keys is written all the same; its managers stay.
    setManagers(object, kept);
  }
}

function finish(
  kind: ManagedKind,
  writer: Writer,
  object: KubeObject,
  managers: Managers,
  comparisons: ReadonlyMap<string, Comparison | undefined>,
): void {
  if (kind.changeable) reconcile(kind, managers);
  recordUpdate(kind, writer, managers, comparisons);
  setManagers(object, writeManagers(managers));
}

/** Who manages the object as a client says, when that is valid; else as it was. */
function givenManagers(given: readonly ManagedFieldsEntry[], kept: readonly ManagedFieldsEntry[]): Managers {
  if (isReset(given)) return new Map();
  try {
    const managers = readManagers(given);
    if (managers.size > 0) return managers;
  } catch (error) {
    if (!isFieldsError(error)) throw error;
  }
  return trustedManagers(kept);
}

const isFieldsError = (error: unknown): boolean => error instanceof ManagersError || error instanceof FieldSetError;

/** Why managed fields are none, in upstream's words; undefined when they are. */
export function managedFieldsFault(entries: readonly ManagedFieldsEntry[]): string | undefined {
  try {
    readManagers(entries);
    return undefined;
  } catch (error) {
    if (error instanceof ManagersError || error instanceof FieldSetError) return error.message;
    throw error;
  }
}

export function setManagers(object: KubeObject, entries: readonly ManagedFieldsEntry[]): void {
  if (entries.length > 0) object.metadata.managedFields = [...entries];
  else delete object.metadata.managedFields;
}

export function foreignVersions(kind: ManagedKind, managers: Managers): string[] {
  const found = new Set<string>();
  for (const { apiVersion } of managers.values()) if (apiVersion !== kind.version.apiVersion) found.add(apiVersion);
  return [...found];
}

/** Compares two objects in other versions too; undefined for a version that is served no more. */
export async function compareIn(
  kind: ManagedKind,
  versions: readonly string[],
  before: KubeObject,
  after: KubeObject,
  comparisons: Map<string, Comparison | undefined>,
): Promise<void> {
  for (const apiVersion of versions) {
    const version = kind.versionOf(apiVersion);
    if (!version) {
      comparisons.set(apiVersion, undefined);
      continue;
    }
    const [was, is] = [await version.convert(before), await version.convert(after)];
    comparisons.set(apiVersion, filtered(kind, compare(version.atom, was, is, true)));
  }
}

export const filtered = (kind: ManagedKind, { changed, removed }: Comparison): Comparison => ({
  changed: kind.reset(changed),
  removed: kind.reset(removed),
});

export function reconcile(kind: ManagedKind, managers: Managers): void {
  for (const [id, manager] of managers) {
    const version = manager.apiVersion === kind.version.apiVersion ? kind.version : kind.versionOf(manager.apiVersion);
    const set = version ? reconciled(manager.set, version.atom) : manager.set;
    if (set !== manager.set) managers.set(id, { ...manager, set });
  }
}

const updateBy = ({ version, subresource }: ManagedKind, { manager, now }: Writer, set: FieldSet): Manager => ({
  manager: manager || "unknown",
  operation: "Update",
  apiVersion: version.apiVersion,
  subresource,
  time: now,
  set,
});

/** Gives the writer what changed, and takes that and what is gone from all others. In place. */
function recordUpdate(
  kind: ManagedKind,
  writer: Writer,
  managers: Managers,
  comparisons: ReadonlyMap<string, Comparison | undefined>,
): void {
  takeFrom(managers, comparisons);
  const mine = strip(comparisons.get(kind.version.apiVersion)?.changed ?? emptySet);
  if (!isEmpty(mine)) {
    const own = updateBy(kind, writer, mine);
    const id = identify(own);
    const previous = managers.get(id);
    managers.set(id, previous ? { ...own, set: union(mine, previous.set) } : own);
  }
  capUpdates(managers);
}

/** What others manage of fields that changed: by manager. */
export function contested(
  managers: Managers,
  comparisons: ReadonlyMap<string, Comparison | undefined>,
  except?: string,
): (readonly [string, Manager, FieldSet])[] {
  const found: (readonly [string, Manager, FieldSet])[] = [];
  for (const [id, manager] of managers) {
    const comparison = comparisons.get(manager.apiVersion);
    if (id === except || !comparison) continue;
    const set = intersection(manager.set, comparison.changed);
    if (!isEmpty(set)) found.push([id, manager, set]);
  }
  return found;
}

/** Takes from all but one manager what changed and what is gone, and drops those that speak a version no more served. In place. */
export function takeFrom(
  managers: Managers,
  comparisons: ReadonlyMap<string, Comparison | undefined>,
  except?: string,
): void {
  for (const [id, manager] of managers) {
    if (id === except) continue;
    const comparison = comparisons.get(manager.apiVersion);
    if (!comparison) {
      managers.delete(id);
      continue;
    }
    const lost = intersection(manager.set, comparison.changed);
    const rest = isEmpty(lost) ? manager.set : difference(manager.set, lost);
    const set = isEmpty(comparison.removed) ? rest : difference(rest, comparison.removed);
    if (set !== manager.set) managers.set(id, { ...manager, set });
  }
  dropEmpty(managers);
}
