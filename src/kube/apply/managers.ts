import type { ManagedFieldsEntry } from "../generated/types.ts";
import { isObject, jsonEqual } from "../values/equal.ts";
import { isEmpty, readFieldSet, union, type FieldSet } from "./field-set.ts";
import { compareText } from "./path-element.ts";

/** Fields that somebody manages, in one version of the API. */
export interface Manager {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly subresource: string;
  /** RFC 3339; absent when it is not known. */
  readonly time?: string;
  readonly set: FieldSet;
}

/** Who manages what of an object, by `identify`. */
export type Managers = Map<string, Manager>;

/** The managed fields of an object are none. */
export class ManagersError extends Error {
  override name = "ManagersError";
}

/** What tells one manager from another: for one that applies, not the version. */
export function identify({ manager, operation, apiVersion, subresource }: Omit<Manager, "set" | "time">): string {
  return JSON.stringify({
    ...(manager ? { manager } : {}),
    operation,
    ...(operation === "Apply" ? {} : { apiVersion }),
    ...(subresource ? { subresource } : {}),
  });
}

/** Reads `metadata.managedFields` as a client wrote them. Throws ManagersError or FieldSetError. */
export function readManagers(entries: readonly ManagedFieldsEntry[]): Managers {
  const managers: Managers = new Map();
  for (const [i, entry] of entries.entries()) {
    const { operation, apiVersion = "", fieldsType = "" } = entry;
    if (operation !== "Apply" && operation !== "Update")
      throw new ManagersError("operation must be `Apply` or `Update`");
    if (!apiVersion) throw new ManagersError("apiVersion must not be empty");
    if (!fieldsType) throw new ManagersError(`missing fieldsType in managed fields entry ${i}`);
    if (fieldsType !== "FieldsV1")
      throw new ManagersError(`invalid fieldsType ${JSON.stringify(fieldsType)} in managed fields entry ${i}`);
    const manager = managerOf(entry, operation, readFieldSet(entry.fieldsV1 ?? {}));
    managers.set(identify(manager), manager);
  }
  return managers;
}

/** Reads managed fields that this server wrote: they are in canonical form already. */
export function trustedManagers(entries: readonly ManagedFieldsEntry[]): Managers {
  const managers: Managers = new Map();
  for (const entry of entries) {
    const operation = entry.operation === "Apply" ? "Apply" : "Update";
    const manager = managerOf(entry, operation, (entry.fieldsV1 ?? {}) as unknown as FieldSet);
    managers.set(identify(manager), manager);
  }
  return managers;
}

function managerOf(entry: ManagedFieldsEntry, operation: Manager["operation"], set: FieldSet): Manager {
  const { manager = "", apiVersion = "", subresource = "", time } = entry;
  return { manager, operation, apiVersion, subresource, ...(time ? { time } : {}), set };
}

/** True when a client wishes that nobody manages anything any more: an empty list, or one with one empty entry. */
export function isReset(entries: unknown): boolean {
  if (!Array.isArray(entries) || entries.length > 1) return false;
  const [entry] = entries as unknown[];
  return entry === undefined || (isObject(entry) && Object.keys(entry).length === 0);
}

/** As they stand in an object, in upstream's order: who applies first, then by time. */
export function writeManagers(managers: Managers): ManagedFieldsEntry[] {
  return [...managers.values()]
    .sort(
      (a, b) =>
        compareText(a.operation, b.operation) ||
        secondsOf(a) - secondsOf(b) ||
        compareText(a.manager, b.manager) ||
        compareText(a.apiVersion, b.apiVersion) ||
        compareText(a.subresource, b.subresource),
    )
    .map(entryOf);
}

export function entryOf({ manager, operation, apiVersion, subresource, time, set }: Manager): ManagedFieldsEntry {
  const entry: ManagedFieldsEntry = {};
  if (manager) entry.manager = manager;
  entry.operation = operation;
  entry.apiVersion = apiVersion;
  if (time) entry.time = time;
  entry.fieldsType = "FieldsV1";
  entry.fieldsV1 = set;
  if (subresource) entry.subresource = subresource;
  return entry;
}

const secondsOf = ({ time }: Manager): number => (time ? Math.floor(Date.parse(time) / 1000) : 0);

/** More updates than this are not told apart: the oldest become one. */
const maxUpdates = 10;
const ancient = "ancient-changes";

/** Puts the oldest updates of each version together, in place, until there are few enough. */
export function capUpdates(managers: Managers): void {
  const updates = [...managers].filter(([, { operation }]) => operation === "Update");
  let over = updates.length - maxUpdates;
  if (over <= 0) return;
  updates.sort(([idA, a], [idB, b]) => secondsOf(a) - secondsOf(b) || compareText(idA, idB));
  const firsts = new Map<string, string>();
  for (const [id, update] of updates) {
    if (over <= 0) return;
    const { apiVersion, time } = update;
    const first = firsts.get(apiVersion);
    if (first === undefined) {
      firsts.set(apiVersion, id);
      continue;
    }
    const bucket: Omit<Manager, "set"> = {
      manager: ancient,
      operation: "Update",
      apiVersion,
      subresource: "",
      ...(time ? { time } : {}),
    };
    const bucketId = identify(bucket);
    const before = managers.get(bucketId) ?? managers.get(first);
    if (!managers.has(bucketId)) managers.delete(first);
    managers.delete(id);
    managers.set(bucketId, { ...bucket, set: before ? union(update.set, before.set) : update.set });
    over -= 1;
  }
}

/** Takes out who manages nothing, in place. */
export function dropEmpty(managers: Managers): void {
  for (const [id, { set }] of managers) if (isEmpty(set)) managers.delete(id);
}

/** True when two lists of managed fields differ at most in their times. */
export function sameButTimes(a: readonly ManagedFieldsEntry[], b: readonly ManagedFieldsEntry[]): boolean {
  return (
    a.length === b.length &&
    a.every((entry, i) => jsonEqual({ ...entry, time: undefined }, { ...b[i], time: undefined }))
  );
}
