import type { Definition } from "../definition.ts";
import type { NamedDefinition } from "../schema.ts";
import { isObject } from "../values/equal.ts";
import { readDate, readDuration, readTimestamp } from "./time.ts";
import { bool, dyn, listOf, mapOf, string, type CelType, type ObjectField } from "./types.ts";
import { fail, textOf, uintOf, type ListValue, type MapValue, type ObjectValue, type Value } from "./values.ts";

/** What a schema says beside its structure; only these matter here. */
export type CelSchema = Definition & {
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly maxProperties?: number;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-embedded-resource"?: boolean;
};

export interface SchemaOptions {
  /** Follows a `$ref`; absent where there are none. */
  readonly resolve?: (definition: Definition) => NamedDefinition;
  /** The schema is that of a whole object: apiVersion, kind, metadata.name and metadata.generateName can always be read. */
  readonly root?: boolean;
  /** Fields named as a keyword can be read without underscores too (`metadata.namespace`). */
  readonly plainKeywords?: boolean;
}

/** Estimates take no account of the length of keys, as upstream. */
const keyType: CelType = { ...string, max: 0 };
/** The largest request that is taken: nothing in an object is longer. */
const maxRequest = 3 * 1024 * 1024;
const keywords: ReadonlySet<string> = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);

/** The name under which expressions read a property; undefined when they can not. */
export function escapeProperty(name: string): string | undefined {
  if (!/^[A-Za-z_./-][A-Za-z0-9_./-]*$/.test(name)) return undefined;
  if (keywords.has(name)) return `__${name}__`;
  return name.replace(/__|[./-]/g, (part) => escapes[part] ?? part);
}

const escapes: Readonly<Record<string, string>> = {
  __: "__underscores__",
  ".": "__dot__",
  "-": "__dash__",
  "/": "__slash__",
};

/**
 * The type of values that a schema describes; undefined for what expressions can not read: a part without a type, or one whose
 * fields are only preserved.
 */
export function typeOfSchema(schema: CelSchema, options: SchemaOptions = {}): CelType | undefined {
  return typed(schema, options)?.type;
}

interface Typed {
  readonly type: CelType;
  /** The least bytes that a value takes as JSON. */
  readonly minSize: number;
}

function typed(definition: CelSchema, options: SchemaOptions): Typed | undefined {
  const { resolve, root = false } = options;
  const target = definition.$ref === undefined ? undefined : resolve?.(definition);
  const schema: CelSchema = target?.definition ?? definition;
  if (schema["x-kubernetes-int-or-string"] || schema.format === "int-or-string")
    return { type: { ...dyn, max: maxRequest - 2 }, minSize: 1 };
  const inner = (part: CelSchema): SchemaOptions => ({
    ...options,
    root: part["x-kubernetes-embedded-resource"] === true,
  });
  if (schema.type === "object" || root) {
    const values = schema.additionalProperties;
    if (isObject(values) && !root) {
      const found = typed(values, inner(values));
      if (!found) return undefined;
      const max = schema.maxProperties ?? Math.floor((maxRequest - 2) / (found.minSize + 6));
      return { type: mapOf(keyType, found.type, Math.max(max, 0)), minSize: 2 };
    }
    return objectTyped(schema, options, target?.name);
  }
  switch (schema.type) {
    case "array": {
      const items = schema.items;
      const found = items && typed(items, inner(items));
      if (!found) return undefined;
      const max = Math.max(schema.maxItems ?? Math.floor((maxRequest - 2) / (found.minSize + 1)), 0);
      const listType = schema["x-kubernetes-list-type"];
      const type = listOf(found.type, max);
      const mapKeys = schema["x-kubernetes-list-map-keys"];
      if (type.kind !== "list" || (listType !== "set" && listType !== "map")) return { type, minSize: 2 };
      return { type: { ...type, listType, ...(mapKeys ? { mapKeys } : {}) }, minSize: 2 };
    }
    case "string":
      return { type: textType(schema), minSize: 2 };
    case "boolean":
      return { type: bool, minSize: 4 };
    case "integer":
      return { type: { kind: "int" }, minSize: 1 };
    case "number":
      return { type: { kind: "double" }, minSize: 1 };
    default:
      return undefined;
  }
}

function textType(schema: CelSchema): CelType {
  switch (schema.format) {
    case "byte":
      return { kind: "bytes", max: Math.max(schema.maxLength ?? maxRequest - 2, 0) };
    case "duration":
      return { kind: "duration", max: 32 };
    case "date":
      return { kind: "timestamp", max: 12 };
    case "date-time":
      return { kind: "timestamp", max: 36 };
    default: {
      const longest = schema.enum?.map((value) => (typeof value === "string" ? Buffer.byteLength(value) : 0));
      // A character is up to four bytes long.
      if (schema.maxLength !== undefined) return { ...string, max: Math.max(schema.maxLength, 0) * 4 };
      return { ...string, max: longest?.length ? Math.max(...longest) : maxRequest - 2 };
    }
  }
}

function objectTyped(schema: CelSchema, options: SchemaOptions, name: string | undefined): Typed {
  let fields: Map<string, ObjectField> | undefined;
  const inside = (part: CelSchema) =>
    typed(part, { ...options, root: part["x-kubernetes-embedded-resource"] === true });
  const properties = (): Readonly<Record<string, CelSchema>> =>
    options.root ? withRoot(schema.properties ?? {}) : (schema.properties ?? {});
  const compute = (): Map<string, ObjectField> => {
    const found = new Map<string, ObjectField>();
    for (const [property, part] of Object.entries(properties())) {
      const escaped = escapeProperty(property);
      const type = escaped === undefined ? undefined : inside(part)?.type;
      if (escaped !== undefined && type) found.set(escaped, { property, type });
    }
    return found;
  };
  let minSize = 2;
  for (const property of schema.required ?? []) {
    const part = schema.properties?.[property];
    // A type that is named may hold itself: its size is not followed.
    if (!part || part.default !== undefined) continue;
    minSize += property.length + 4 + (part.$ref === undefined ? (inside(part)?.minSize ?? 0) : 2);
  }
  return {
    type: {
      kind: "object",
      name: name ?? "object",
      fields: () => (fields ??= compute()),
      ...(options.plainKeywords ? { plainKeywords: true } : {}),
    },
    minSize,
  };
}

const text: CelSchema = { type: "string" };

function withRoot(properties: Readonly<Record<string, Definition>>): Readonly<Record<string, CelSchema>> {
  return {
    ...properties,
    apiVersion: text,
    kind: text,
    metadata: {
      type: "object",
      properties: { ...properties["metadata"]?.properties, name: text, generateName: text },
    },
  };
}

/** A part of an object, as JSON, as a value of its type. What does not have the type fails when it is read. */
export function valueOf(raw: unknown, type: CelType): Value {
  if (raw === null || raw === undefined) return null;
  switch (type.kind) {
    case "string":
    case "bool":
      return raw as Value;
    case "int":
      return typeof raw === "number" && Number.isInteger(raw) ? BigInt(raw) : wrong(raw, "int64");
    case "uint":
      return typeof raw === "number" && Number.isInteger(raw) ? uintOf(BigInt(raw)) : wrong(raw, "uint64");
    case "double":
      return typeof raw === "number" ? raw : wrong(raw, "double");
    case "bytes":
      return typeof raw === "string" ? new Uint8Array(Buffer.from(raw, "base64")) : wrong(raw, "base64");
    case "timestamp":
      return (typeof raw === "string" ? (readTimestamp(raw) ?? readDate(raw)) : undefined) ?? wrong(raw, "date-time");
    case "duration":
      return (typeof raw === "string" ? readDuration(raw) : undefined) ?? wrong(raw, "duration");
    case "list":
      return Array.isArray(raw) ? readList(raw, type) : wrong(raw, "array");
    case "map":
      return isObject(raw) ? readMap(raw, type.value) : wrong(raw, "object");
    case "object":
      if (!isObject(raw)) return wrong(raw, "object");
      return readObject(raw, type);
    default:
      return dynamicValue(raw);
  }
}

const wrong = (raw: unknown, wanted: string): never =>
  fail(`invalid data, expected ${wanted} but got ${Array.isArray(raw) ? "array" : typeof raw}`);

function readList(raw: readonly unknown[], type: CelType & { kind: "list" }): ListValue {
  const { element, listType, mapKeys = [] } = type;
  const list: ListValue = { kind: "list", size: raw.length, at: (i) => valueOf(raw[i], element) };
  if (listType === "set") return { ...list, listType };
  if (listType !== "map") return list;
  const names = mapKeys.map((key) => escapeProperty(key) ?? key);
  return {
    ...list,
    listType,
    keyOf: (item) => JSON.stringify(names.map((name) => keyPart(item, name))),
  };
}

function keyPart(item: Value, name: string): string {
  const value =
    typeof item === "object" && item !== null && "kind" in item && item.kind === "object" ? item.get(name) : null;
  return `${typeof value}:${textOf(value ?? null)}`;
}

function readMap(raw: Readonly<Record<string, unknown>>, value: CelType): MapValue {
  let size: number | undefined;
  return {
    kind: "map",
    get size() {
      return (size ??= Object.keys(raw).length);
    },
    get: (key) => (typeof key === "string" && Object.hasOwn(raw, key) ? valueOf(raw[key], value) : undefined),
    keys: () => Object.keys(raw),
  };
}

function readObject(raw: Readonly<Record<string, unknown>>, type: CelType & { kind: "object" }): ObjectValue {
  return {
    kind: "object",
    type: type.name,
    get: (name) => {
      const field = type.fields().get(name);
      if (!field || !Object.hasOwn(raw, field.property)) return undefined;
      const value = raw[field.property];
      return value === undefined ? undefined : valueOf(value, field.type);
    },
    fields: () => [...type.fields()].filter(([, { property }]) => raw[property] !== undefined).map(([name]) => name),
  };
}

/** JSON without a schema: whole numbers are int, objects are maps whose keys are the property names as they are. */
export function dynamicValue(raw: unknown): Value {
  switch (typeof raw) {
    case "string":
    case "boolean":
      return raw;
    case "number":
      return Number.isInteger(raw) && Math.abs(raw) < 2 ** 63 ? BigInt(raw) : raw;
    default:
      if (Array.isArray(raw)) return { kind: "list", size: raw.length, at: (i) => dynamicValue(raw[i]) };
      return isObject(raw) ? readMap(raw, dyn) : null;
  }
}

/** A value as JSON. Throws EvaluationFault for what has no form there. */
export function toJson(value: Value): unknown {
  if (typeof value === "bigint") return Number(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  switch (value.kind) {
    case "list":
      return Array.from({ length: value.size }, (_, i) => toJson(value.at(i)));
    case "map":
      return Object.fromEntries(value.keys().map((key) => [textOf(key), toJson(value.get(key) ?? null)]));
    case "object":
      return Object.fromEntries(value.fields().map((name) => [name, toJson(value.get(name) ?? null)]));
    case "uint":
      return Number(value.value);
    default:
      return fail(`a ${value.kind} has no form in JSON`);
  }
}
