import { isObject } from "../values/equal.ts";
import { fieldSchema, itemsOf, valuesOf, type JsonSchema } from "./json-schema.ts";
import { child, textOf, type Path } from "./path.ts";

export const typeAndMeta: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata"]);

/**
 * Removes, in place, the fields that a structural schema does not name. `apiVersion`, `kind` and `metadata` of the object itself and of
 * embedded ones are left alone. Returns the paths of what was removed, sorted.
 */
export function prune(object: Record<string, unknown>, schema: JsonSchema): string[] {
  const removed: string[] = [];
  pruneValue(object, schema, undefined, removed, true);
  return removed.sort();
}

function pruneValue(
  value: unknown,
  schema: JsonSchema | undefined,
  path: Path | undefined,
  removed: string[],
  isEmbedded = schema?.["x-kubernetes-embedded-resource"] === true,
  inKept = false,
): void {
  const keeps = inKept || schema?.["x-kubernetes-preserve-unknown-fields"] === true;
  if (Array.isArray(value)) {
    const items = schema && itemsOf(schema);
    // What is kept without a schema of its own is kept whole.
    if (keeps && !items) return;
    for (const [i, item] of value.entries())
      pruneValue(item, items, child(path, i), removed, items?.["x-kubernetes-embedded-resource"] === true, keeps);
    return;
  }
  if (!isObject(value)) return;
  for (const key of Object.keys(value)) {
    if (isEmbedded && typeAndMeta.has(key)) continue;
    const named = schema && fieldSchema(schema, key);
    if (named) pruneValue(value[key], named, child(path, key), removed);
    else if (schema && hasOpenValues(schema)) pruneValue(value[key], undefined, child(path, key), removed);
    else if (!keeps) {
      removed.push(textOf(child(path, key)));
      delete value[key];
    }
  }
}

/** `additionalProperties: true` takes any field, but says nothing of what is in it. */
function hasOpenValues(schema: JsonSchema): boolean {
  return schema.additionalProperties !== undefined && !valuesOf(schema);
}
