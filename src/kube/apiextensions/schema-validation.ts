import { validateDefaults, validateStructural } from "../structural/check.ts";
import { isKnownFormat } from "../structural/formats.ts";
import { itemsOf, nodesOf, valuesOf, type JsonSchema } from "../structural/json-schema.ts";
import { typeAndMeta } from "../structural/prune.ts";
import { fault, type Faults } from "../validation/fault.ts";
import type { CelModule } from "../load-cel.ts";
import { schemaAt } from "./field-path.ts";
import { validateRules } from "./rule-validation.ts";

/** Nodes and levels of one schema: more could not be walked for every object in reasonable time. */
const mostNodes = 20_000;
const mostLevels = 64;

const types = ["array", "boolean", "integer", "null", "number", "object", "string"];
/** What may stand at the root beside a status subresource, by the names that upstream's message gives them. */
const rootFields =
  "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems " +
  "UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]";
const notAtRoot: readonly (keyof JsonSchema)[] = [
  "default",
  "enum",
  "maxProperties",
  "minProperties",
  "allOf",
  "oneOf",
  "anyOf",
  "not",
  "additionalProperties",
  "patternProperties",
  "dependencies",
  "additionalItems",
  "definitions",
  "nullable",
  "x-kubernetes-embedded-resource",
  "x-kubernetes-int-or-string",
  "x-kubernetes-list-map-keys",
  "x-kubernetes-list-type",
  "x-kubernetes-map-type",
];

/** Faults of the schema of a version, in the words of apiextensions. */
export function* validateSchema(
  schema: JsonSchema,
  path: string,
  { hasStatus, cel, costs }: { hasStatus: boolean; cel: CelModule | undefined; costs: boolean },
): Faults {
  const found = [...schemaFaults(schema, path, hasStatus)];
  yield* found;
  // Rules of a schema that is wrong can not be read in its terms.
  if (found.length === 0 && cel) yield* validateRules(cel, schema, path, { costs });
}

function* schemaFaults(schema: JsonSchema, path: string, hasStatus: boolean): Faults {
  const size = sizeOf(schema, 0);
  if (size === undefined) {
    yield fault.forbidden(path, `must not have more than ${mostNodes} nodes or nest deeper than ${mostLevels} levels`);
    return;
  }
  if (hasStatus) {
    if (schema.type !== undefined && schema.type !== "object")
      yield fault.invalid(
        `${path}.type`,
        schema.type,
        'only "object" is allowed as the type at the root of the schema if the status subresource is enabled',
      );
    else if (notAtRoot.some((keyword) => schema[keyword] !== undefined && schema[keyword] !== false))
      yield fault.invalid(
        path,
        schema,
        `only ${rootFields} fields are allowed at the root of the schema if the status subresource is enabled`,
      );
  }
  if (schema.nullable) yield fault.forbidden(`${path}.nullable`, "nullable cannot be true at the root");
  const structural = validateStructural(schema, path);
  if (structural.length > 0) yield* structural;
  else yield* validateDefaults(schema, path);
  yield* keywords(schema, path, { isRoot: true });
}

/** How many nodes a schema has; undefined when it is too many or too deep. */
function sizeOf(schema: JsonSchema, level: number): number | undefined {
  if (level > mostLevels) return undefined;
  let count = 1;
  const { items, properties, allOf = [], anyOf = [], oneOf = [], not } = schema;
  const values = valuesOf(schema);
  const children = [
    ...(Array.isArray(items) ? (items as readonly JsonSchema[]) : items ? [items as JsonSchema] : []),
    ...Object.values(properties ?? {}),
    ...(values ? [values] : []),
    ...allOf,
    ...anyOf,
    ...oneOf,
    ...(not ? [not] : []),
  ];
  for (const one of children) {
    const size = sizeOf(one, level + 1);
    if (size === undefined) return undefined;
    count += size;
    if (count > mostNodes) return undefined;
  }
  return count;
}

interface Place {
  readonly isRoot?: boolean;
  /** Why no default may be given here. */
  readonly noDefaults?: string;
  readonly inMeta?: boolean;
}

function* keywords(schema: JsonSchema, path: string, place: Place): Faults {
  yield* ownKeywords(schema, path, place);
  const { properties = {}, allOf = [], anyOf = [], oneOf = [], not } = schema;
  const inner: Place = { ...place, isRoot: false };
  const values = valuesOf(schema);
  if (schema.additionalProperties !== undefined) {
    if (Object.keys(properties).length > 0 && schema.additionalProperties !== true)
      yield fault.forbidden(`${path}.additionalProperties`, "additionalProperties and properties are mutual exclusive");
    if (values)
      yield* keywords(
        values,
        `${path}.additionalProperties`,
        place.inMeta ? { ...inner, noDefaults: "inside additionalProperties applying to object metadata" } : inner,
      );
  }
  for (const [name, property] of Object.entries(properties)) {
    const isMeta = (place.isRoot || schema["x-kubernetes-embedded-resource"]) && typeAndMeta.has(name);
    yield* keywords(property, `${path}.properties[${name}]`, {
      ...inner,
      ...(isMeta ? { inMeta: true } : {}),
      ...(isMeta && place.isRoot ? { noDefaults: `in top-level ${name}` } : {}),
    });
  }
  if (not) yield* keywords(not, `${path}.not`, inner);
  for (const [word, list] of Object.entries({ allOf, oneOf, anyOf }))
    for (const [i, one] of list.entries()) yield* keywords(one, `${path}.${word}[${i}]`, inner);
  const items = itemsOf(schema);
  if (items) yield* keywords(items, `${path}.items`, inner);
}

function* ownKeywords(schema: JsonSchema, path: string, { noDefaults, inMeta }: Place): Faults {
  const { type } = schema;
  if (type && !types.includes(type)) yield fault.notSupported(`${path}.type`, type, types);
  if (schema.default !== undefined && noDefaults !== undefined)
    yield fault.forbidden(`${path}.default`, `must not be set ${noDefaults}`);
  for (const keyword of [
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
  ] as const) {
    const value = schema[keyword];
    if (value !== undefined && value !== "") yield fault.forbidden(`${path}.${keyword}`, `${keyword} is not supported`);
  }
  if (type === "null")
    yield fault.forbidden(`${path}.type`, "type cannot be set to null, use nullable as an alternative");
  if (Array.isArray(schema.items))
    yield fault.forbidden(`${path}.items`, "items must be a schema object and not an array");
  if (inMeta && schema["x-kubernetes-embedded-resource"])
    yield fault.forbidden(`${path}.x-kubernetes-embedded-resource`, "must not be used inside of resource meta");
  if (schema.uniqueItems)
    yield fault.forbidden(
      `${path}.uniqueItems`,
      "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
    );
  if (schema["x-kubernetes-preserve-unknown-fields"] === false)
    yield fault.invalid(`${path}.x-kubernetes-preserve-unknown-fields`, false, "must be true or undefined");
  yield* mapAndListTypes(schema, path);
  yield* ruleTexts(schema, path);
}

function* mapAndListTypes(schema: JsonSchema, path: string): Faults {
  const { type = "" } = schema;
  const mapType = schema["x-kubernetes-map-type"];
  const listType = schema["x-kubernetes-list-type"];
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const items = itemsOf(schema);
  const needsType = (wanted: string, because: string): Faults => {
    const text = `must be ${wanted} if ${because} is specified`;
    return [type ? fault.invalid(`${path}.type`, type, text) : fault.required(`${path}.type`, text)];
  };
  if (mapType !== undefined && type !== "object") yield* needsType("object", "x-kubernetes-map-type");
  if (mapType !== undefined && mapType !== "atomic" && mapType !== "granular")
    yield fault.notSupported(`${path}.x-kubernetes-map-type`, mapType, ["atomic", "granular"]);
  if (listType !== undefined && type !== "array") yield* needsType("array", "x-kubernetes-list-type");
  else if (listType === "set" && items) {
    const text = "must be atomic as item of a list with x-kubernetes-list-type=set";
    const inner = items["x-kubernetes-list-type"];
    if (items.type === "array" && inner !== undefined && inner !== "atomic")
      yield fault.invalid(`${path}.items.x-kubernetes-list-type`, inner, text);
    if (items.type === "object" && items["x-kubernetes-map-type"] !== "atomic")
      yield fault.invalid(`${path}.items.x-kubernetes-map-type`, inner ?? null, text);
  }
  if (listType !== undefined && !["atomic", "set", "map"].includes(listType))
    yield fault.notSupported(`${path}.x-kubernetes-list-type`, listType, ["atomic", "set", "map"]);
  if (keys.length > 0 && listType !== "map") {
    const text = "must be map if x-kubernetes-list-map-keys is non-empty";
    const at = `${path}.x-kubernetes-list-type`;
    yield listType === undefined ? fault.required(at, text) : fault.invalid(at, listType, text);
  }
  if (listType === "map") yield* listMapKeys(schema, keys, items, path);
  if (items?.nullable && (listType === "map" || listType === "set"))
    yield fault.forbidden(`${path}.items.nullable`, `cannot be nullable when x-kubernetes-list-type is ${listType}`);
}

function* listMapKeys(
  schema: JsonSchema,
  keys: readonly string[],
  items: JsonSchema | undefined,
  path: string,
): Faults {
  if (keys.length === 0)
    yield fault.required(`${path}.x-kubernetes-list-map-keys`, "must not be empty if x-kubernetes-list-type is map");
  if (!schema.items) yield fault.required(`${path}.items`, "must have a schema if x-kubernetes-list-type is map");
  else if (!items)
    yield fault.invalid(
      `${path}.items`,
      schema.items,
      "must only have a single schema if x-kubernetes-list-type is map",
    );
  if (!items) return;
  if (items.type !== "object") {
    yield fault.invalid(
      `${path}.items.type`,
      items.type ?? "",
      "must be object if parent array's x-kubernetes-list-type is map",
    );
    return;
  }
  const seen = new Set<string>();
  for (const name of keys) {
    const property = Object.hasOwn(items.properties ?? {}, name) ? items.properties?.[name] : undefined;
    const at = `${path}.items.properties[${name}]`;
    if (!property)
      yield fault.invalid(`${path}.x-kubernetes-list-map-keys`, keys, "entries must all be names of item properties");
    else if (property.type === "array" || property.type === "object")
      yield fault.invalid(
        `${at}.type`,
        items.type,
        "must be a scalar type if parent array's x-kubernetes-list-type is map",
      );
    if (seen.has(name))
      yield fault.invalid(`${path}.x-kubernetes-list-map-keys`, keys, "must not contain duplicate entries");
    seen.add(name);
    if (!property) continue;
    if (!items.required?.includes(name) && property.default === undefined)
      yield fault.required(
        `${at}.default`,
        "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
      );
    if (property.nullable)
      yield fault.forbidden(
        `${at}.nullable`,
        "this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
      );
  }
}

const reasons = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
const hasLineBreak = (text: string): boolean => /[\n\r]/.test(text);

/** What can be said of rules without compiling them. */
function* ruleTexts(schema: JsonSchema, path: string): Faults {
  for (const [i, rule] of (schema["x-kubernetes-validations"] ?? []).entries()) {
    const at = `${path}.x-kubernetes-validations[${i}]`;
    const { message = "", messageExpression = "", fieldPath = "", reason } = rule;
    const [text, shown] = [(rule.rule ?? "").trim(), message.trim()];
    if (text === "") yield fault.required(`${at}.rule`, "rule is not specified");
    else if (message && !shown) yield fault.invalid(`${at}.message`, message, "must be non-empty if specified");
    else if (hasLineBreak(shown)) yield fault.invalid(`${at}.message`, message, "must not contain line breaks");
    else if (hasLineBreak(text) && !shown)
      yield fault.required(`${at}.message`, "message must be specified if rule contains line breaks");
    if (messageExpression && !messageExpression.trim())
      yield fault.required(`${at}.messageExpression`, "messageExpression must be non-empty if specified");
    if (reason !== undefined && !reasons.includes(reason)) yield fault.notSupported(`${at}.reason`, reason, reasons);
    if (fieldPath && !fieldPath.trim())
      yield fault.invalid(`${at}.fieldPath`, fieldPath, "must be non-empty if specified");
    if (hasLineBreak(fieldPath)) yield fault.invalid(`${at}.fieldPath`, fieldPath, "must not contain line breaks");
    if (fieldPath && "problem" in schemaAt(fieldPath, schema))
      yield fault.invalid(`${at}.fieldPath`, fieldPath, "must be a valid path");
  }
}

/** Warnings of formats that no value is held to, each once. */
export function formatWarnings(schema: JsonSchema): string[] {
  const found = new Set<string>();
  for (const node of nodesOf(schema))
    if (node.format && !isKnownFormat(node)) found.add(`unrecognized format ${JSON.stringify(node.format)}`);
  return [...found];
}
