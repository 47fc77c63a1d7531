/** One node of a CustomResourceDefinition's `openAPIV3Schema` (apiextensions.k8s.io/v1 JSONSchemaProps), as plain JSON. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly $schema?: string;
  readonly id?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string;
  readonly format?: string;
  readonly default?: unknown;
  readonly nullable?: boolean;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly items?: JsonSchema | readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly allOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly not?: JsonSchema;
  readonly additionalItems?: JsonSchema | boolean;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly definitions?: Readonly<Record<string, JsonSchema>>;
  readonly dependencies?: Readonly<Record<string, JsonSchema | readonly string[]>>;
  readonly externalDocs?: unknown;
  readonly example?: unknown;
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
  readonly "x-kubernetes-embedded-resource"?: boolean;
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-list-type"?: string;
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-map-type"?: string;
  readonly "x-kubernetes-validations"?: readonly ValidationRule[];
}

/** A rule in the Common Expression Language (`x-kubernetes-validations`). */
export interface ValidationRule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: string;
  readonly fieldPath?: string;
  readonly optionalOldSelf?: boolean;
}

/** The schema of the items of a list; undefined where there is none or, wrongly, several. */
export function itemsOf({ items }: JsonSchema): JsonSchema | undefined {
  return Array.isArray(items) ? undefined : (items as JsonSchema | undefined);
}

/** The schema of values that are not named; undefined where there is none or it is a boolean. */
export function valuesOf({ additionalProperties: values }: JsonSchema): JsonSchema | undefined {
  return typeof values === "object" ? values : undefined;
}

/** The schema of one field of an object: its own, or that of all fields that are not named. */
export function fieldSchema(schema: JsonSchema | undefined, field: string): JsonSchema | undefined {
  if (!schema) return undefined;
  const { properties } = schema;
  if (properties && Object.hasOwn(properties, field)) return properties[field];
  return valuesOf(schema);
}

/** Every node of a schema, those inside `allOf`, `anyOf`, `oneOf` and `not` too. */
export function* nodesOf(schema: JsonSchema): Generator<JsonSchema> {
  yield schema;
  for (const child of childrenOf(schema)) yield* nodesOf(child);
}

function* childrenOf(schema: JsonSchema): Generator<JsonSchema> {
  const { items, properties, allOf, anyOf, oneOf, not } = schema;
  if (items) yield* Array.isArray(items) ? (items as readonly JsonSchema[]) : [items as JsonSchema];
  const values = valuesOf(schema);
  if (values) yield values;
  yield* Object.values(properties ?? {});
  yield* [...(allOf ?? []), ...(anyOf ?? []), ...(oneOf ?? []), ...(not ? [not] : [])];
}

const marks = new WeakMap<JsonSchema, Map<string, boolean>>();

/** True when `schema` or what describes values inside of it has the keyword; remembered. What stands in `allOf` and such does not count. */
export function hasInside(schema: JsonSchema, keyword: keyof JsonSchema): boolean {
  let known = marks.get(schema);
  if (!known) marks.set(schema, (known = new Map()));
  let found = known.get(keyword);
  if (found === undefined) {
    const { properties = {} } = schema;
    const [items, values] = [itemsOf(schema), valuesOf(schema)];
    found =
      schema[keyword] !== undefined ||
      (items !== undefined && hasInside(items, keyword)) ||
      (values !== undefined && hasInside(values, keyword)) ||
      Object.values(properties).some((property) => hasInside(property, keyword));
    known.set(keyword, found);
  }
  return found;
}
