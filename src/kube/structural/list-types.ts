import type { FieldError } from "../field-error.ts";
import { isObject } from "../values/equal.ts";
import { fault } from "../validation/fault.ts";
import { fieldSchema, hasInside, itemsOf, type JsonSchema } from "./json-schema.ts";
import { child, textOf, type Path } from "./path.ts";

/** Items that stand twice in lists of `x-kubernetes-list-type` set or map: the second of each. */
export function validateListTypes(value: unknown, schema: JsonSchema | undefined, path?: Path): FieldError[] {
  if (!schema || !hasInside(schema, "x-kubernetes-list-type")) return [];
  if (isObject(value)) {
    return Object.keys(value).flatMap((key) => {
      const isNamed = schema.properties && Object.hasOwn(schema.properties, key);
      return validateListTypes(value[key], fieldSchema(schema, key), child(path, isNamed ? key : { key }));
    });
  }
  if (!Array.isArray(value)) return [];
  const items = itemsOf(schema);
  return [
    ...duplicates(value, schema, path),
    ...value.flatMap((item, i) => validateListTypes(item, items, child(path, i))),
  ];
}

function duplicates(list: readonly unknown[], schema: JsonSchema, path: Path | undefined): FieldError[] {
  const type = schema["x-kubernetes-list-type"];
  if (type === "set") return repeated(list).map((i) => fault.duplicate(textOf(child(path, i)), list[i]));
  if (type !== "map") return [];
  const wrong = list.findIndex((item) => item !== null && !isObject(item));
  if (wrong >= 0)
    return [fault.invalid(textOf(child(path, wrong)), list[wrong], "must be an object for an array of list-type map")];
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const identities = list.map((item) => keysOf(item, keys));
  return repeated(identities).map((i) => fault.duplicate(textOf(child(path, i)), identities[i]));
}

/** The fields of an item by which a list of type map knows it. */
export function keysOf(item: unknown, keys: readonly string[]): Record<string, unknown> {
  if (!isObject(item)) return {};
  return Object.fromEntries(keys.filter((key) => Object.hasOwn(item, key)).map((key) => [key, item[key]]));
}

/** The places where a value stands for the second time. */
function repeated(values: readonly unknown[]): number[] {
  const seen = new Map<string, number>();
  const found: number[] = [];
  for (const [i, value] of values.entries()) {
    const text = identityOf(value);
    const times = (seen.get(text) ?? 0) + 1;
    seen.set(text, times);
    if (times === 2) found.push(i);
  }
  return found;
}

/** Equal texts for equal values, whatever the order of their keys. */
export function identityOf(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}
