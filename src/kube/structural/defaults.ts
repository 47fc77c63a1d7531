import { cloneJson, isObject } from "../values/equal.ts";
import { fieldSchema, hasInside, itemsOf, type JsonSchema } from "./json-schema.ts";

/** Fills in, in place, the defaults of a structural schema; a null where none may stand counts as missing. */
export function applyDefaults(value: unknown, schema: JsonSchema | undefined): void {
  if (!schema || !hasInside(schema, "default")) return;
  if (Array.isArray(value)) {
    const items = itemsOf(schema);
    if (!items) return;
    for (const [i, item] of value.entries()) {
      if (item === null && !items.nullable && items.default !== undefined) value[i] = cloneJson(items.default);
      applyDefaults(value[i], items);
    }
    return;
  }
  if (!isObject(value)) return;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (property.default === undefined) continue;
    if (!Object.hasOwn(value, name) || value[name] === undefined || (value[name] === null && !property.nullable))
      value[name] = cloneJson(property.default);
  }
  for (const key of Object.keys(value)) {
    const field = fieldSchema(schema, key);
    if (!field) continue;
    if (value[key] === null && !field.nullable && field.default !== undefined) value[key] = cloneJson(field.default);
    applyDefaults(value[key], field);
  }
}

/** Removes, in place, nulls where none may stand and no default is known: as if they had not been given. */
export function dropNulls(value: unknown, schema: JsonSchema | undefined): void {
  if (!schema) return;
  if (Array.isArray(value)) {
    const items = itemsOf(schema);
    if (items) for (const item of value) dropNulls(item, items);
    return;
  }
  if (!isObject(value)) return;
  for (const key of Object.keys(value)) {
    const field = fieldSchema(schema, key);
    if (!field) continue;
    if (value[key] === null && !field.nullable && field.default === undefined) delete value[key];
    else dropNulls(value[key], field);
  }
}
