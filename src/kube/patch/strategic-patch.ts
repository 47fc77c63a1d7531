import type { Definition } from "../definition.ts";
import { definitionOf, resolve, type GroupVersionKind } from "../schema.ts";
import { statusError, type StatusError } from "../status.ts";
import { isObject, jsonEqual, setOwn } from "../values/equal.ts";
import { rejected } from "./json-patch.ts";

type Fields = Readonly<Record<string, unknown>>;

const orderPrefix = "$setElementOrder/";
const deletePrefix = "$deleteFromPrimitiveList/";

/**
 * Applies a strategic merge patch to an object of `kind`: lists are merged by the keys that the kind declares, and the directives
 * `$patch`, `$retainKeys`, `$setElementOrder/x` and `$deleteFromPrimitiveList/x` are obeyed. Inputs are not changed; the result may share with them.
 * Throws 400 BadRequest or 422 Invalid for a patch that is malformed.
 */
export function applyStrategicPatch(kind: GroupVersionKind, target: object, patch: unknown): Record<string, unknown> {
  if (!isObject(patch)) throw malformed("invalid JSON document");
  return mergeMap(definitionOf(kind)?.definition, target as Fields, patch);
}

const malformed = (text: string): StatusError => statusError("BadRequest", text);

function mergeMap(schema: Definition | undefined, original: Fields, patch: Fields): Record<string, unknown> {
  const directive = patch["$patch"];
  if (directive === "replace") return withoutDirectives(omit(patch, "$patch"));
  if (directive === "delete") return {};
  if (directive !== undefined && directive !== "merge") {
    throw malformed(`unknown patch type: ${JSON.stringify(directive)} in map: ${JSON.stringify(patch)}`);
  }

  const result = retainKeys(original, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key === "$patch" || key === "$retainKeys" || key.startsWith(orderPrefix)) continue;
    if (key.startsWith(deletePrefix)) deleteFromList(result, key.slice(deletePrefix.length), value);
    else if (value === null) delete result[key];
    else setOwn(result, key, mergeValue(fieldOf(schema, key), result[key], value));
  }
  for (const [key, order] of Object.entries(patch)) {
    if (key.startsWith(orderPrefix)) setOrder(schema, result, original, key.slice(orderPrefix.length), order);
  }
  return result;
}

/** What the schema says of a field; undefined where there is none (maps of strings, free-form values). */
function fieldOf(schema: Definition | undefined, key: string): Definition | undefined {
  if (!schema) return undefined;
  return schema.properties ? schema.properties[key] : schema.additionalProperties;
}

const strategiesOf = (field: Definition | undefined) => (field?.["x-kubernetes-patch-strategy"] ?? "").split(",");

function mergeValue(field: Definition | undefined, old: unknown, value: unknown): unknown {
  const strategies = strategiesOf(field);
  if (isObject(value)) {
    if (!isObject(old)) return value["$patch"] === "delete" ? {} : withoutDirectives(value);
    if (strategies.includes("replace")) return withoutDirectives(value);
    return mergeMap(field && resolve(field).definition, old, value);
  }
  if (Array.isArray(value) && strategies.includes("merge")) {
    return mergeList(field ?? {}, Array.isArray(old) ? (old as unknown[]) : [], value as unknown[]);
  }
  return Array.isArray(value) ? value.map(withoutDirectives) : value;
}

function retainKeys(original: Fields, patch: Fields): Record<string, unknown> {
  const keys = patch["$retainKeys"];
  if (keys === undefined) return { ...original };
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === "string")) {
    throw malformed("invalid patch format of retainKeys");
  }
  const strange = Object.keys(patch).find(
    (key) => !key.startsWith("$") && patch[key] !== null && !(keys as unknown[]).includes(key),
  );
  if (strange !== undefined) throw rejected("patch content doesn't match retainKeys list");
  return Object.fromEntries(Object.entries(original).filter(([key]) => (keys as unknown[]).includes(key)));
}

function deleteFromList(result: Record<string, unknown>, key: string, values: unknown): void {
  if (!Array.isArray(values)) throw malformed("invalid patch format of primitive list");
  const list = result[key];
  if (Array.isArray(list)) result[key] = list.filter((item: unknown) => !values.includes(item));
}

function mergeList(field: Definition, original: unknown[], patch: unknown[]): unknown[] {
  if (patch.some((item) => Array.isArray(item))) throw rejected("lists of lists are not supported");
  const mergeKey = field["x-kubernetes-patch-merge-key"];
  if (mergeKey === undefined || !patch.every(isObject)) return [...new Set([...original, ...patch])];

  if (patch.some((item) => item["$patch"] === "replace")) {
    return patch.filter((item) => item["$patch"] === undefined).map(withoutDirectives);
  }
  let result = original.filter(isObject);
  const schema = field.items && resolve(field.items).definition;
  for (const item of patch) {
    const directive = item["$patch"];
    if (directive === "merge") throw malformed("merging lists cannot yet be specified in the patch");
    if (directive !== undefined && directive !== "delete") {
      throw malformed(`unknown patch type: ${JSON.stringify(directive)} in map: ${JSON.stringify(item)}`);
    }
    const key = item[mergeKey];
    if (key === undefined) {
      throw malformed(`map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`);
    }
    const at = result.findIndex((old) => jsonEqual(old[mergeKey], key));
    if (directive === "delete") result = result.filter((old) => !jsonEqual(old[mergeKey], key));
    else if (at < 0) result = [...result, withoutDirectives(item)];
    else result = result.with(at, mergeMap(schema, result[at] ?? {}, item));
  }
  return result;
}

/** Puts a list in the order that the patch wishes; what only the server has stays beside its old neighbours. */
function setOrder(
  schema: Definition | undefined,
  result: Record<string, unknown>,
  original: Fields,
  key: string,
  order: unknown,
): void {
  if (!Array.isArray(order)) throw malformed("invalid patch format of setElementOrder list");
  const list = result[key];
  if (!Array.isArray(list)) return;
  const mergeKey = fieldOf(schema, key)?.["x-kubernetes-patch-merge-key"];
  const identity = (item: unknown) => (mergeKey !== undefined && isObject(item) ? item[mergeKey] : item);
  const position = (items: unknown, item: unknown) =>
    Array.isArray(items) ? items.findIndex((other) => jsonEqual(identity(other), identity(item))) : -1;

  const wished = (list as unknown[])
    .filter((item) => position(order, item) >= 0)
    .sort((a, b) => position(order, a) - position(order, b));
  const serverOnly = (list as unknown[]).filter((item) => position(order, item) < 0);
  const before = original[key];
  const merged: unknown[] = [];
  while (serverOnly.length > 0 || wished.length > 0) {
    const [left, right] = [position(before, serverOnly[0]), position(before, wished[0])];
    const serverFirst = wished.length === 0 || (serverOnly.length > 0 && left >= 0 && right >= 0 && left < right);
    merged.push(serverFirst ? serverOnly.shift() : wished.shift());
  }
  result[key] = merged;
}

const omit = (fields: Fields, key: string) =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => name !== key));

/** A value that is new: directives and nulls mean nothing in it. */
function withoutDirectives<T>(value: T): T;
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .filter((item) => !isObject(item) || item["$patch"] === undefined)
      .map((item: unknown) => withoutDirectives(item));
  }
  if (!isObject(value)) return value;
  const result: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const isDirective =
      key === "$patch" || key === "$retainKeys" || key.startsWith(orderPrefix) || key.startsWith(deletePrefix);
    if (!isDirective && item !== null) setOwn(result, key, withoutDirectives(item));
  }
  return result;
}
