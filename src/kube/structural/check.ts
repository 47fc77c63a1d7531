import { describeFault, type FieldError } from "../field-error.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { compilePattern, PatternError } from "../values/pattern.ts";
import { cloneJson, jsonEqual } from "../values/equal.ts";
import { itemsOf, valuesOf, type JsonSchema } from "./json-schema.ts";
import { prune } from "./prune.ts";
import { validateListTypes } from "./list-types.ts";
import { validateValue } from "./validate.ts";

/** Where in a schema a node stands: which rules hold for it. */
type Level = "root" | "item" | "field";

/**
 * Faults by which a schema is not structural (KEP-1693): every value has a type outside of `allOf`, `anyOf`, `oneOf` and `not`, and
 * those say nothing but what values may be like. In the words of apiextensions' `ValidateStructural`, sorted.
 */
export function validateStructural(schema: JsonSchema, path: string): FieldError[] {
  const found = [...invariants(schema, "root", path), ...completeness(schema, schema, path, path)];
  return found
    .map((one) => ({ one, text: describeFault(one) }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    .map(({ one }) => one);
}

const key = (path: string, field: string, name: string): string => `${path}.${field}[${name}]`;

function* invariants(schema: JsonSchema, level: Level, path: string): Faults {
  const { type, properties = {}, additionalProperties } = schema;
  const items = itemsOf(schema);
  const values = valuesOf(schema);
  const embedded = schema["x-kubernetes-embedded-resource"];
  const preserves = schema["x-kubernetes-preserve-unknown-fields"];
  const intOrString = schema["x-kubernetes-int-or-string"];

  if (type === "array" && !items) yield fault.required(`${path}.items`, "must be specified");
  if (items) yield* invariants(items, "item", `${path}.items`);
  for (const [name, property] of Object.entries(properties))
    yield* invariants(property, "field", key(path, "properties", name));
  if (additionalProperties !== undefined) {
    if (level === "root") yield fault.forbidden(`${path}.additionalProperties`, "must not be used at the root");
    if (values) yield* invariants(values, "field", `${path}.additionalProperties`);
  }
  if (intOrString && preserves)
    yield fault.invalid(
      `${path}.x-kubernetes-preserve-unknown-fields`,
      true,
      "must be false if x-kubernetes-int-or-string is true",
    );
  if (intOrString && embedded)
    yield fault.invalid(
      `${path}.x-kubernetes-embedded-resource`,
      true,
      "must be false if x-kubernetes-int-or-string is true",
    );
  yield* valueRules(schema, isIntOrString(schema.anyOf), isIntOrString(schema.allOf?.[0]?.anyOf), path);

  if (embedded && type !== "object") {
    const text = "must be object if x-kubernetes-embedded-resource is true";
    yield type ? fault.invalid(`${path}.type`, type, text) : fault.required(`${path}.type`, text);
  } else if (!type && !intOrString && !preserves) {
    const where = { root: "at the root", item: "for specified array items", field: "for specified object fields" };
    yield fault.required(`${path}.type`, `must not be empty ${where[level]}`);
  }
  if (embedded && additionalProperties !== undefined)
    yield fault.forbidden(`${path}.additionalProperties`, "must not be used if x-kubernetes-embedded-resource is set");
  if (level === "root" && type && type !== "object")
    yield fault.invalid(`${path}.type`, type, "must be object at the root");
  yield* metadataRules(schema, level, path);
  if (embedded && !preserves && Object.keys(properties).length === 0)
    yield fault.required(
      `${path}.properties`,
      "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
    );
}

function* metadataRules({ properties = {}, ...schema }: JsonSchema, level: Level, path: string): Faults {
  const isObject = level === "root" || schema["x-kubernetes-embedded-resource"] === true;
  for (const name of ["kind", "apiVersion"]) {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (isObject && property && property.type !== "string")
      yield fault.invalid(`${key(path, "properties", name)}.type`, property.type ?? "", "must be string");
  }
  const metadata = Object.hasOwn(properties, "metadata") ? properties["metadata"] : undefined;
  if (!metadata) return;
  const at = key(path, "properties", "metadata");
  if (isObject && metadata.type !== "object") yield fault.invalid(`${at}.type`, metadata.type ?? "", "must be object");
  if (level !== "root") return;
  const { type: _type, default: _default, properties: inner = {}, ...more } = metadata;
  const names = Object.keys(inner).filter((name) => name !== "name" && name !== "generateName");
  const said = Object.entries(more).filter(([, value]) => value !== undefined && value !== false && value !== "");
  if (names.length > 0 || said.length > 0)
    yield fault.forbidden(
      at,
      "must not specify anything other than name and generateName, but metadata is implicitly specified",
    );
}

function isIntOrString(anyOf: readonly JsonSchema[] | undefined): boolean {
  return jsonEqual(anyOf ?? null, [{ type: "integer" }, { type: "string" }]);
}

/** `skipAnyOf`: `anyOf: [integer, string]` is one of the two ways to say int-or-string; the other has it as the first of `allOf`. */
function* valueRules(schema: JsonSchema, skipAnyOf: boolean, skipFirstAllOf: boolean, path: string): Faults {
  const { anyOf = [], allOf = [], oneOf = [], not, pattern } = schema;
  if (!skipAnyOf) for (const [i, one] of anyOf.entries()) yield* nested(one, false, `${path}.anyOf[${i}]`);
  for (const [i, one] of allOf.entries()) yield* nested(one, skipFirstAllOf && i === 0, `${path}.allOf[${i}]`);
  for (const [i, one] of oneOf.entries()) yield* nested(one, false, `${path}.oneOf[${i}]`);
  if (not) yield* nested(not, false, `${path}.not`);
  if (pattern) {
    const problem = patternProblem(pattern);
    if (problem !== undefined)
      yield fault.invalid(`${path}.pattern`, pattern, `must be a valid regular expression, but isn't: ${problem}`);
  }
}

function patternProblem(pattern: string): string | undefined {
  try {
    compilePattern(pattern);
    return undefined;
  } catch (error) {
    if (error instanceof PatternError) return error.message;
    throw error;
  }
}

const forbiddenInside: readonly (readonly [keyof JsonSchema, string])[] = [
  ["type", "must be empty to be structural"],
  ["additionalProperties", "must be undefined to be structural"],
  ["default", "must be undefined to be structural"],
  ["title", "must be empty to be structural"],
  ["description", "must be empty to be structural"],
  ["nullable", "must be false to be structural"],
  ["x-kubernetes-preserve-unknown-fields", "must be false to be structural"],
  ["x-kubernetes-embedded-resource", "must be false to be structural"],
  ["x-kubernetes-int-or-string", "must be false to be structural"],
  ["x-kubernetes-list-map-keys", "must be empty to be structural"],
  ["x-kubernetes-list-type", "must be undefined to be structural"],
  ["x-kubernetes-map-type", "must be undefined to be structural"],
  ["x-kubernetes-validations", "must be empty to be structural"],
];

function* nested(schema: JsonSchema, skipAnyOf: boolean, path: string): Faults {
  yield* valueRules(schema, skipAnyOf, false, path);
  const items = itemsOf(schema);
  if (items) yield* nested(items, false, `${path}.items`);
  const { properties = {} } = schema;
  for (const [name, property] of Object.entries(properties))
    yield* nested(property, false, key(path, "properties", name));
  for (const [keyword, text] of forbiddenInside) {
    const value = schema[keyword];
    const isEmpty =
      value === undefined || value === "" || value === false || (Array.isArray(value) && value.length === 0);
    if (!isEmpty) yield fault.forbidden(`${path}.${keyword}`, text);
  }
  if (Object.hasOwn(properties, "metadata"))
    yield fault.forbidden(key(path, "properties", "metadata"), "must not be specified in a nested context");
}

/** What `allOf` and such speak of must be there outside of them too. */
function* completeness(rules: JsonSchema, schema: JsonSchema, at: string, from: string): Faults {
  const { not, allOf = [], anyOf = [], oneOf = [] } = rules;
  if (not) yield* nestedCompleteness(not, schema, at, `${from}.not`);
  for (const [i, one] of allOf.entries()) yield* nestedCompleteness(one, schema, at, `${from}.allOf[${i}]`);
  for (const [i, one] of anyOf.entries()) yield* nestedCompleteness(one, schema, at, `${from}.anyOf[${i}]`);
  for (const [i, one] of oneOf.entries()) yield* nestedCompleteness(one, schema, at, `${from}.oneOf[${i}]`);
}

function* nestedCompleteness(rules: JsonSchema, schema: JsonSchema | undefined, at: string, from: string): Faults {
  if (!schema) {
    yield fault.required(at, `because it is defined in ${from}`);
    return;
  }
  yield* completeness(rules, schema, at, from);
  const items = itemsOf(rules);
  if (items) yield* nestedCompleteness(items, itemsOf(schema), `${at}.items`, `${from}.items`);
  for (const [name, property] of Object.entries(rules.properties ?? {})) {
    const own = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : undefined;
    yield* nestedCompleteness(property, own, key(at, "properties", name), key(from, "properties", name));
  }
}

/** Faults of the defaults in a structural schema: each must be what the schema asks for, without fields that it does not name. */
export function* validateDefaults(schema: JsonSchema, path: string): Faults {
  if (schema.default !== undefined) {
    const at = `${path}.default`;
    const value = schema.default;
    const holder = { value };
    const pruned = cloneJson(holder);
    prune(pruned, { type: "object", properties: { value: schema } });
    if (!jsonEqual(pruned, holder)) yield fault.invalid(at, value, "must not have unknown fields");
    for (const one of validateValue(value, schema)) yield { ...one, field: under(at, one.field) };
    for (const one of validateListTypes(value, schema)) yield { ...one, field: under(at, one.field) };
  }
  const items = itemsOf(schema);
  const values = valuesOf(schema);
  if (items) yield* validateDefaults(items, `${path}.items`);
  if (values) yield* validateDefaults(values, `${path}.additionalProperties`);
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    yield* validateDefaults(property, key(path, "properties", name));
}

function under(at: string, field: string): string {
  if (field === "<nil>" || field === "") return at;
  return field.startsWith("[") ? `${at}${field}` : `${at}.${field}`;
}
