import type { KubeObject } from "../object.ts";
import { statusError, unknownError } from "../status.ts";
import { isObject, jsonEqual } from "../values/equal.ts";
import { compare, type Comparison } from "./compare.ts";
import { applyConflict, ConflictError, conflictSet, conflictsOf } from "./conflict.ts";
import {
  compareIn,
  contested,
  filtered,
  foreignVersions,
  reconcile,
  setManagers,
  strip,
  takeFrom,
  unmanaged,
  type ManagedKind,
  type ManagedVersion,
} from "./field-manager.ts";
import { difference, hasPath, intersection, isEmpty, union, type FieldSet } from "./field-set.ts";
import { allowedByLastApplied, syncLastApplied } from "./last-applied.ts";
import { identify, trustedManagers, writeManagers, type Manager, type Managers } from "./managers.ts";
import { merge, removeItems, withoutEmptied } from "./merge.ts";
import { FieldSetError } from "./path-element.ts";
import { withNamedFields } from "./schema-set.ts";
import { fieldsOf, misfit, withStructs } from "./typed.ts";

/** A configuration to be applied, as it was sent. */
export interface Application {
  readonly config: Readonly<Record<string, unknown>>;
  readonly manager: string;
  /** Takes fields from those who manage them. */
  readonly force: boolean;
  /** RFC 3339. */
  readonly now: string;
}

/**
 * Merges an applied configuration into the live object and gives the object that comes of it, with who manages what, before
 * defaults (KEP-555). `live` absent: the object is new. Fields that this manager applied before and does not now go, unless
 * others manage them. Throws StatusError: 400 for a configuration of another kind or with managed fields, 409 for conflicts
 * with a cause for each field, 500 in upstream's words for one that does not fit the kind.
 */
export async function applyConfiguration(
  kind: ManagedKind,
  live: KubeObject | undefined,
  application: Application,
): Promise<KubeObject> {
  const { config } = application;
  checkKind(kind, config);
  const text = misfit(kind.version.atom, config);
  if (text !== undefined) throw unknownError(`failed to create typed patch object (${nameOf(config)}): ${text}`);
  const current = live ?? kind.empty;
  const managers = managersBefore(kind, current, live !== undefined, application.now);
  try {
    return await withLastApplied(kind, current, managers, application);
  } catch (error) {
    if (error instanceof ConflictError) throw applyConflict(error.conflicts);
    if (error instanceof FieldSetError) throw unknownError(`failed to merge config: ${error.message}`);
    throw error;
  }
}

function checkKind({ kind, version }: ManagedKind, config: Application["config"]): void {
  const { apiVersion, kind: given, metadata } = config;
  if (apiVersion !== version.apiVersion || given !== kind)
    throw statusError("BadRequest", `invalid object type: ${describeKind(apiVersion, given)}`);
  if (isObject(metadata) && metadata["managedFields"] !== undefined && metadata["managedFields"] !== null)
    throw statusError("BadRequest", "metadata.managedFields must be nil");
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`. */
export function describeKind(apiVersion: unknown, kind: unknown): string {
  const version = textOf(apiVersion);
  return `${version.includes("/") ? version : `/${version}`}, Kind=${textOf(kind)}`;
}

/** How messages name an object: `default/web; apps/v1, Kind=Deployment`. */
export function nameOf({ apiVersion, kind, metadata }: Readonly<Record<string, unknown>>): string {
  const { namespace, name } = isObject(metadata) ? metadata : {};
  return `${textOf(namespace)}/${textOf(name)}; ${describeKind(apiVersion, kind)}`;
}

/** Fields that nobody managed before the first apply are then somebody's: who applies does not own them all at once. */
function managersBefore(kind: ManagedKind, live: KubeObject, exists: boolean, now: string): Managers {
  const managers = trustedManagers(live.metadata.managedFields ?? []);
  if (managers.size > 0 || !exists) return managers;
  const { atom, apiVersion } = kind.version;
  const set = strip(kind.reset(compare(atom, kind.empty, unmanaged(live), true).changed));
  if (isEmpty(set)) return managers;
  const before: Manager = {
    manager: "before-first-apply",
    operation: "Update",
    apiVersion,
    subresource: kind.subresource,
    time: now,
    set,
  };
  return new Map([[identify(before), before]]);
}

/** kubectl may take over what it applied from the client's side before. */
async function withLastApplied(
  kind: ManagedKind,
  live: KubeObject,
  managers: Managers,
  application: Application,
): Promise<KubeObject> {
  const isKubectl = application.manager === "kubectl";
  try {
    return syncLastApplied(await applyOnce(kind, live, managers, application), application);
  } catch (error) {
    if (!isKubectl || !(error instanceof ConflictError)) throw error;
    const allowed = allowedByLastApplied(kind.version, live);
    if (!allowed) throw error;
    if (!isEmpty(difference(conflictSet(error.conflicts), allowed)))
      throw new ConflictError(error.conflicts.filter(({ path }) => !hasPath(allowed, path)));
    return syncLastApplied(await applyOnce(kind, live, managers, { ...application, force: true }), application);
  }
}

async function applyOnce(
  kind: ManagedKind,
  live: KubeObject,
  known: Managers,
  { config, manager, force, now }: Application,
): Promise<KubeObject> {
  const managers = new Map(known);
  if (kind.changeable) reconcile(kind, managers);
  const { version } = kind;
  const before = withStructs(version.atom, unmanaged(live));
  const who = { manager, operation: "Apply", apiVersion: version.apiVersion, subresource: kind.subresource } as const;
  const id = identify(who);
  const last = managers.get(id);
  const set = kind.reset(fieldsOf(version.atom, config));
  managers.set(id, { ...who, ...(last?.time ? { time: last.time } : {}), set });

  const merged = merge(version.atom, before, config) as KubeObject;
  const pruned = await prune(kind, merged, managers, last);

  const comparisons = new Map<string, Comparison | undefined>();
  comparisons.set(version.apiVersion, filtered(kind, compare(version.atom, before, pruned, false)));
  await compareIn(kind, foreignVersions(kind, managers), before, pruned, comparisons);
  const conflicts = conflictsOf(contested(managers, comparisons, id));
  if (conflicts.length > 0 && !force) throw new ConflictError(conflicts);
  takeFrom(managers, comparisons, id);

  const after = withoutEmptied(merged, pruned) as KubeObject;
  const isSame = jsonEqual(before, after);
  const mine = strip(set);
  if (isEmpty(mine)) managers.delete(id);
  else managers.set(id, { ...who, ...timeOf(isSame ? last?.time : now), set: mine });
  const object = { ...(isSame ? unmanaged(live) : after) };
  object.metadata = { ...object.metadata };
  setManagers(object, writeManagers(managers));
  return object;
}

const timeOf = (time: string | undefined): { time?: string } => (time === undefined ? {} : { time });

async function inVersion(object: KubeObject, version: ManagedVersion): Promise<KubeObject> {
  return object.apiVersion === version.apiVersion ? object : version.convert(object);
}

const versionIn = (kind: ManagedKind, apiVersion: string): ManagedVersion | undefined =>
  apiVersion === kind.version.apiVersion ? kind.version : kind.versionOf(apiVersion);

/** The merged object without what this manager applied last and nobody applies or manages now. */
async function prune(
  kind: ManagedKind,
  merged: KubeObject,
  managers: Managers,
  last: Manager | undefined,
): Promise<KubeObject> {
  if (!last || isEmpty(last.set)) return merged;
  const version = versionIn(kind, last.apiVersion);
  if (!version) return merged;
  const { atom } = version;
  const whole = await inVersion(merged, version);
  const owned = withNamedFields(last.set, atom);
  const bare = (removeItems(atom, whole, owned) ?? {}) as KubeObject;
  const kept = await inVersion(await addBackOwned(kind, whole, bare, version, managers), version);
  const lost = difference(named(version, whole), named(version, kept));
  const pruned = removeItems(atom, whole, intersection(lost, owned)) as KubeObject;
  return inVersion(pruned, kind.version);
}

const named = ({ atom }: ManagedVersion, object: KubeObject): FieldSet => withNamedFields(fieldsOf(atom, object), atom);

/** Puts back what somebody manages, this manager's new configuration included. */
async function addBackOwned(
  kind: ManagedKind,
  merged: KubeObject,
  pruned: KubeObject,
  prunedVersion: ManagedVersion,
  managers: Managers,
): Promise<KubeObject> {
  const managed = new Map<string, FieldSet>();
  for (const { apiVersion, set } of managers.values())
    managed.set(apiVersion, union(managed.get(apiVersion) ?? {}, set));
  // The version of what was pruned first: the others can be made only of a whole object.
  const order = [...managed.keys()].sort(
    (a, b) => Number(b === prunedVersion.apiVersion) - Number(a === prunedVersion.apiVersion),
  );
  let result = pruned;
  for (const apiVersion of order) {
    const version = versionIn(kind, apiVersion);
    if (!version) continue;
    const whole = await inVersion(merged, version);
    const rest = await inVersion(result, version);
    const claimed = withNamedFields(managed.get(apiVersion) ?? {}, version.atom);
    const gone = difference(named(version, whole), union(named(version, rest), claimed));
    result = (removeItems(version.atom, whole, gone) ?? {}) as KubeObject;
  }
  return result;
}
