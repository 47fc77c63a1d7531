import type { Definition } from "../definition.ts";
import { definitionOf, resolve, type GroupVersionKind } from "../schema.ts";
import { statusError, unknownError, type StatusError } from "../status.ts";
import { isObject, jsonEqual, own, setOwn } from "../values/equal.ts";
import { goText, goType } from "../values/go-text.ts";
import { rejected } from "./json-patch.ts";
import { arrangeList, identity, identityOf } from "./list-order.ts";

type Fields = Readonly<Record<string, unknown>>;

const directiveKey = "$patch";
const retainKeysKey = "$retainKeys";
const orderPrefix = "$setElementOrder";
const deletePrefix = "$deleteFromPrimitiveList";

/**
 * Applies a strategic merge patch to an object of `kind`: lists are merged by the keys that the kind declares, and the directives
 * `$patch`, `$retainKeys`, `$setElementOrder/x` and `$deleteFromPrimitiveList/x` are obeyed. Inputs are not changed; the result may share
 * with them. Throws StatusError for a patch that is malformed: 400 BadRequest, 422 Invalid or, where upstream has only a plain error, 500.
 */
export function applyStrategicPatch(kind: GroupVersionKind, target: object, patch: unknown): Record<string, unknown> {
  if (!isObject(patch)) throw malformed("invalid JSON document");
  return mergeMap(definitionOf(kind)?.definition, target as Fields, patch);
}

const malformed = (text: string): StatusError => statusError("BadRequest", text);
const badType = (wanted: string, value: unknown): StatusError =>
  unknownError(`expected a ${wanted}, but received a ${value === null ? "%!s(<nil>)" : goType(value)}`);
const badDirective = (directive: unknown, patch: Fields): StatusError => {
  const text = typeof directive === "string" ? directive : `%!s(${goType(directive)}=${goText(directive)})`;
  return unknownError(`unknown patch type: ${text} in map: ${goText(patch)}`);
};

function mergeMap(schema: Definition | undefined, original: Fields, patch: Fields): Record<string, unknown> {
  if (Object.hasOwn(patch, directiveKey)) {
    const directive = patch[directiveKey];
    if (directive === "delete") return {};
    if (directive !== "replace") throw badDirective(directive, patch);
    const { [directiveKey]: _directive, ...rest } = patch;
    return rest;
  }
  const result = { ...original };
  const rest = new Map(Object.entries(patch));
  retainKeys(result, rest);
  orderLists(schema, result, rest);
  for (const [key, value] of rest) {
    if (key.startsWith(deletePrefix)) deleteFromList(result, namedBy(key, deletePrefix, "primitive list"), value);
    else if (value === null) delete result[key];
    else mergeField(fieldOf(schema, key), result, key, value);
  }
  return result;
}

/** What the schema says of a field; undefined where there is none (maps of strings, free-form values). */
function fieldOf(schema: Definition | undefined, key: string): Definition | undefined {
  if (!schema) return undefined;
  if (!schema.properties) return schema.additionalProperties;
  return Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
}

/** The field that a directive such as `$setElementOrder/ports` is about. */
function namedBy(key: string, prefix: string, list: string): string {
  if (!key.startsWith(`${prefix}/`)) throw malformed(`invalid patch format of ${list}`);
  return key.slice(prefix.length + 1);
}

const strategiesOf = (field: Definition | undefined) => (field?.["x-kubernetes-patch-strategy"] ?? "").split(",");

function mergeField(field: Definition | undefined, result: Record<string, unknown>, key: string, value: unknown): void {
  const old = Object.hasOwn(result, key) ? result[key] : undefined;
  if (isObject(value) && isObject(old)) {
    const replaces = strategiesOf(field).includes("replace");
    setOwn(result, key, replaces ? value : mergeMap(field && resolve(field).definition, old, value));
    return;
  }
  if (Array.isArray(value) && Array.isArray(old)) {
    setOwn(result, key, mergeList(field, old as unknown[], value as unknown[]));
    return;
  }
  // What is new, or becomes another sort of value. A map that has a directive is none.
  const fresh = withoutDirectives(value);
  if (fresh === undefined) delete result[key];
  else setOwn(result, key, fresh);
}

function retainKeys(result: Record<string, unknown>, patch: Map<string, unknown>): void {
  if (!patch.has(retainKeysKey)) return;
  const keys = patch.get(retainKeysKey);
  patch.delete(retainKeysKey);
  const wrong = () => malformed("invalid patch format of retainKeys");
  if (!Array.isArray(keys)) throw wrong();
  const kept = new Set<unknown>(keys);
  for (const [key, value] of patch) {
    if (value === null || key.startsWith(deletePrefix) || key.startsWith(orderPrefix)) continue;
    if (!kept.has(key)) throw wrong();
  }
  for (const key of Object.keys(result)) if (!kept.has(key)) delete result[key];
}

function deleteFromList(result: Record<string, unknown>, key: string, values: unknown): void {
  if (values === null) delete result[key];
  const list = own(result, key);
  if (!Array.isArray(list) || !Array.isArray(values)) return;
  const gone = new Set<unknown>(values);
  setOwn(
    result,
    key,
    list.filter((item) => !gone.has(item)),
  );
}

/** Merges the lists whose order the patch gives, and takes them and the directives out of it. */
function orderLists(
  schema: Definition | undefined,
  result: Record<string, unknown>,
  patch: Map<string, unknown>,
): void {
  for (const [directive, order] of patch) {
    if (!directive.startsWith(orderPrefix)) continue;
    patch.delete(directive);
    if (!Array.isArray(order)) throw badType("[]interface {}", order);
    const key = namedBy(directive, orderPrefix, "setElementOrder list");
    const [old, wanted] = [listOrNone(own(result, key)), patch.has(key) ? listOrNone(patch.get(key)) : undefined];
    const field = fieldOf(schema, key);
    const mergeKey = field?.["x-kubernetes-patch-merge-key"] ?? "";
    checkOrder(wanted ?? [], order as unknown[], mergeKey);
    if (!old && !wanted) continue;
    const fresh = wanted && (withoutDirectives(wanted) as unknown[]);
    const merged = old && wanted ? mergeList(field, old, wanted) : (old ?? fresh ?? []);
    checkItems(old ?? [], wanted ?? []);
    setOwn(result, key, arrangeList(merged, order as unknown[], old ?? [], mergeKey));
    patch.delete(key);
  }
}

function listOrNone(value: unknown): unknown[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw badType("[]interface {}", value);
  return value as unknown[];
}

/** A patch's list must have its items in the order that its directive gives. */
function checkOrder(patch: readonly unknown[], order: readonly unknown[], mergeKey: string): void {
  if (patch.length === 0 || order.length === 0) return;
  const items = mergeKey ? patch.filter((item) => !isObject(item) || item[directiveKey] !== "delete") : patch;
  const keyOf = (item: unknown): unknown => {
    if (!mergeKey) return item;
    if (!isObject(item)) throw badType("map[string]interface {}", item);
    if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
    return item[mergeKey];
  };
  let [i, at] = [0, 0];
  while (i < items.length && at < order.length) {
    const item = items[i];
    if (isObject(item) && Object.hasOwn(item, directiveKey)) {
      i += 1;
      continue;
    }
    if (jsonEqual(keyOf(item), keyOf(order[at]))) i += 1;
    at += 1;
  }
  if (i < items.length)
    throw unknownError(
      `The order in patch list:\n${goText(patch)}\n doesn't match ${orderPrefix} list:\n${goText(order)}\n`,
    );
}

const noMergeKey = (item: Fields, key: string): StatusError =>
  unknownError(`map: ${goText(item)} does not contain declared merge key: ${key}`);

/** The items of lists that are merged are all of one type, and no lists. */
function checkItems(...lists: readonly (readonly unknown[])[]): string {
  const types = new Set(lists.flat().map(goType));
  const [type] = types;
  if (type === undefined) throw unknownError("no elements in any of the given slices");
  if (type === goType([])) throw rejected("lists of lists are not supported");
  if (types.size > 1) throw unknownError(`list element types are not identical: ${goText(lists)}`);
  return type;
}

function mergeList(field: Definition | undefined, original: unknown[], patch: unknown[]): unknown[] {
  if (!strategiesOf(field).includes("merge")) return patch;
  if (original.length === 0 && patch.length === 0) return original;
  if (checkItems(original, patch) !== goType({})) {
    const all = [...new Set([...original, ...patch])];
    return arrangeList(all, patch, original, "");
  }
  const mergeKey = field?.["x-kubernetes-patch-merge-key"] ?? "";
  const name = field?.items?.$ref?.split(".").at(-1) ?? "";
  if (!mergeKey) throw unknownError(`cannot merge lists without merge key for ${name}`);
  return mergeItems(field?.items && resolve(field.items).definition, original as Fields[], patch as Fields[], mergeKey);
}

function mergeItems(
  schema: Definition | undefined,
  original: readonly Fields[],
  patch: readonly Fields[],
  mergeKey: string,
): unknown[] {
  const gone = new Set<string>();
  const plain: Fields[] = [];
  let replaces = false;
  for (const item of patch) {
    if (!Object.hasOwn(item, directiveKey)) {
      plain.push(item);
      continue;
    }
    const directive = item[directiveKey];
    if (directive === "replace") replaces = true;
    else if (directive === "merge") throw unknownError("merging lists cannot yet be specified in the patch");
    else if (directive !== "delete") throw badDirective(directive, item);
    else if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
    else gone.add(identity(item[mergeKey]));
  }
  if (replaces) return plain.map(withoutNested);
  const kept = original.filter((old) => !gone.has(identityOf(old, mergeKey)));
  const merged: Fields[] = [...kept];
  // The first of those that are known by the same.
  const places = new Map<string, number>();
  for (const [i, item] of merged.entries()) {
    const known = identityOf(item, mergeKey);
    if (!places.has(known)) places.set(known, i);
  }
  for (const item of plain) {
    if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
    const known = identityOf(item, mergeKey);
    const at = places.get(known);
    if (at === undefined) places.set(known, merged.push(item) - 1);
    else merged[at] = mergeMap(schema, merged[at] ?? {}, item);
  }
  for (const item of merged) if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
  return arrangeList(merged, plain, kept, mergeKey).map(withoutNested);
}

/** Items that are new may hold directives further down, which mean nothing in them. */
const withoutNested = (item: unknown): unknown => (isObject(item) ? cleaned(item) : item);

/** A value that is new: nulls and directives mean nothing in it. Undefined for a map that is but a directive. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value))
    return value.map((item: unknown) => withoutDirectives(item)).filter((item) => item !== undefined);
  if (!isObject(value)) return value;
  return Object.hasOwn(value, directiveKey) ? undefined : cleaned(value);
}

function cleaned(value: Fields): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const isDirective = key === retainKeysKey || key.startsWith(orderPrefix) || key.startsWith(deletePrefix);
    const kept = isDirective || item === null ? undefined : withoutDirectives(item);
    if (kept !== undefined) setOwn(result, key, kept);
  }
  return result;
}
