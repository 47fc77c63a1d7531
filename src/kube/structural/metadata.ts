import { structure, StructureError } from "../decode/structure.ts";
import type { FieldError } from "../field-error.ts";
import { fault } from "../validation/fault.ts";
import { validateMetadata } from "../validation/metadata.ts";
import { isObject } from "../values/equal.ts";
import { isDns1035Label } from "../values/names.ts";
import { fieldSchema, hasInside, itemsOf, type JsonSchema } from "./json-schema.ts";
import { child, textOf, type Path } from "./path.ts";
import type { Metadata } from "../generated/types.ts";

const objectMeta = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/** Metadata in canonical form, and the paths from the root of fields that no metadata has. Throws StructureError. */
export function readMetadata(value: unknown): { value: Record<string, unknown>; unknown: readonly string[] } {
  const read = structure({ definition: { properties: { metadata: { $ref: objectMeta } } } }, { metadata: value });
  return { value: (read.value["metadata"] ?? {}) as Record<string, unknown>, unknown: read.unknown };
}

/** Faults of the objects inside of an object (`x-kubernetes-embedded-resource`): each says what it is, and has metadata like any other. */
export function validateEmbedded(value: unknown, schema: JsonSchema | undefined, path?: Path): FieldError[] {
  if (!schema || !hasInside(schema, "x-kubernetes-embedded-resource")) return [];
  if (Array.isArray(value)) return value.flatMap((item, i) => validateEmbedded(item, itemsOf(schema), child(path, i)));
  if (!isObject(value)) return [];
  const own = schema["x-kubernetes-embedded-resource"] ? embeddedFaults(value, path) : [];
  const inner = Object.keys(value).flatMap((key) => {
    const isNamed = schema.properties !== undefined && Object.hasOwn(schema.properties, key);
    return validateEmbedded(value[key], fieldSchema(schema, key), child(path, isNamed ? key : { key }));
  });
  return [...own, ...inner];
}

function embeddedFaults(object: Readonly<Record<string, unknown>>, path: Path | undefined): FieldError[] {
  const at = (field: string): string => textOf(child(path, field));
  const found: FieldError[] = [];
  for (const field of ["apiVersion", "kind"] as const) {
    const value = object[field];
    if (value === undefined) found.push(fault.required(at(field)));
    else if (typeof value !== "string") found.push(fault.invalid(at(field), value, "must be a string"));
    else if (value === "") found.push(fault.invalid(at(field), value, "must not be empty"));
  }
  const { apiVersion, kind, metadata } = object;
  if (typeof apiVersion === "string" && apiVersion.split("/").length > 2)
    found.push(fault.invalid(at("apiVersion"), apiVersion, `unexpected GroupVersion string: ${apiVersion}`));
  if (typeof kind === "string" && kind) {
    const wrong = isDns1035Label(kind.toLowerCase());
    if (wrong.length > 0)
      found.push(
        fault.invalid(at("kind"), kind, `may have mixed case, but should otherwise match: ${wrong.join(",")}`),
      );
  }
  if (metadata === undefined) return found;
  try {
    const meta = readMetadata(metadata).value as unknown as Metadata;
    // A name is not asked for: it may be given later.
    const named = { ...meta, name: meta.name || "fakename" };
    const rules = { namespaced: Boolean(meta.namespace), name: pathSegment };
    for (const one of validateMetadata(named, rules))
      found.push({ ...one, field: one.field.replace(/^metadata/, at("metadata")) });
  } catch (error) {
    if (!(error instanceof StructureError)) throw error;
    found.push(fault.invalid(at("metadata"), metadata, error.message));
  }
  return found;
}

/** What can be one part of a URL. */
function pathSegment(name: string): string[] {
  if (name === "." || name === "..") return [`may not be '${name}'`];
  return ["/", "%"].filter((part) => name.includes(part)).map((part) => `may not contain '${part}'`);
}
