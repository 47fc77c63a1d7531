import { valuesOf, type JsonSchema } from "../structural/json-schema.ts";

/** Where a path of fields leads in a schema, or why it leads nowhere. */
export type FoundSchema =
  | { readonly path: readonly string[]; readonly schema: JsonSchema }
  | { readonly problem: string };

/**
 * Follows `.spec.name` or `.spec.labels['a.b']` through a structural schema, as apiextensions' `ValidFieldPath` does for `fieldPath` of a rule and
 * for selectable fields.
 */
export function schemaAt(text: string, root: JsonSchema, { brackets = true } = {}): FoundSchema {
  const path: string[] = [];
  let schema = root;
  const token = /\.([^.[\]]+)|\['((?:[^'\\]|\\.)*)'\]|\[|./gy;
  while (token.lastIndex < text.length) {
    const match = token.exec(text);
    if (!match) break;
    const [whole, plain, quoted] = match;
    if (whole.startsWith("[") && !brackets) return { problem: "array notation is not allowed" };
    if (plain === undefined && quoted === undefined) {
      if (whole === "[")
        return { problem: `expected single quoted string but got ${text.slice(token.lastIndex).split("]", 1)[0]}` };
      if (whole === ".") return { problem: "unexpected end of JSON path" };
      return { problem: `expected [ or . but got: ${text.slice(match.index).split(/[.[\]]/, 1)[0]}` };
    }
    const name = plain ?? (quoted ?? "").replace(/\\(.)/g, "$1");
    const next = schema.properties
      ? Object.hasOwn(schema.properties, name)
        ? schema.properties[name]
        : undefined
      : valuesOf(schema);
    if (!next) return { problem: "does not refer to a valid field" };
    path.push(name);
    schema = next;
  }
  return { path, schema };
}
