import type { FieldError } from "../field-error.ts";
import { isObject, jsonEqual } from "../values/equal.ts";
import { compilePattern, PatternError, type Pattern } from "../values/pattern.ts";
import { fault } from "../validation/fault.ts";
import { formatOf } from "./formats.ts";
import { itemsOf, valuesOf, type JsonSchema } from "./json-schema.ts";
import { identityOf, keysOf } from "./list-types.ts";
import { child, textOf, type Path } from "./path.ts";

/** What a node found: its faults, and how much of it was right, by which the best of several failed alternatives is chosen. */
interface Outcome {
  readonly faults: FieldError[];
  matched: number;
}

/** What stood at this place before an update; absent where old and new can not be told to belong together. */
type Before = { readonly value: unknown } | undefined;

/**
 * Faults of a value by an OpenAPI v3 schema, in the words of kube-openapi's validator. With `before`, faults of parts that have not
 * changed are left out (KEP-4008).
 */
export function validateValue(value: unknown, schema: JsonSchema, path?: Path, before?: Before): FieldError[] {
  return node(value, schema, path, before).faults;
}

/** A node with its own old value: faults of an unchanged value are not told. */
function node(value: unknown, schema: JsonSchema, path: Path | undefined, before: Before): Outcome {
  const outcome = check(value, schema, path, before);
  if (outcome.faults.length > 0 && before && jsonEqual(before.value, value)) return { ...outcome, faults: [] };
  return outcome;
}

function check(value: unknown, schema: JsonSchema, path: Path | undefined, before: Before): Outcome {
  const outcome: Outcome = { faults: [], matched: 0 };
  const typeFault = checkType(value, schema, path);
  if (typeFault) outcome.faults.push(typeFault);
  else outcome.matched += 1;
  if (value === null) {
    checkEnum(value, schema, path, outcome);
    return outcome;
  }
  combine(value, schema, path, before, outcome);
  if (typeof value === "string") checkString(value, schema, path, outcome);
  else if (typeof value === "number") checkNumber(value, schema, path, outcome);
  else if (Array.isArray(value)) checkList(value, schema, path, before, outcome);
  checkEnum(value, schema, path, outcome);
  if (isObject(value)) checkObject(value, schema, path, before, outcome);
  outcome.matched += 1;
  return outcome;
}

/** A name for messages; the root has none. */
const inBody = (path: Path | undefined): string => `${textOf(path)} in body`;
const quoted = (path: Path | undefined): string => JSON.stringify(textOf(path));
const at = (path: Path | undefined): string => textOf(path) || "<nil>";

function typesOf(schema: JsonSchema): readonly string[] {
  if (schema["x-kubernetes-int-or-string"]) return ["integer", "string"];
  return schema.type ? [schema.type] : [];
}

function jsonTypeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

function checkType(value: unknown, schema: JsonSchema, path: Path | undefined): FieldError | undefined {
  const types = typesOf(schema);
  const found = jsonTypeOf(value);
  if (types.length === 0) return undefined;
  if (value === null ? schema.nullable : types.includes(found) || (found === "integer" && types.includes("number")))
    return undefined;
  // A value with a format is read by the format alone.
  if (typeof value === "string" && formatOf(schema) && !types.includes("number") && !types.includes("integer"))
    return undefined;
  const detail = `${inBody(path)} must be of type ${types.join(",")}: ${JSON.stringify(found)}`;
  return { type: "TypeInvalid", field: at(path), value: found, detail };
}

function checkEnum(value: unknown, schema: JsonSchema, path: Path | undefined, outcome: Outcome): void {
  const { enum: allowed } = schema;
  if (!allowed || allowed.length === 0) return;
  if (allowed.some((one) => one !== null && jsonEqual(one, value))) {
    outcome.matched += 1;
    return;
  }
  const shown = allowed.map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
  outcome.faults.push(fault.notSupported(at(path), value, shown));
}

function checkString(value: string, schema: JsonSchema, path: Path | undefined, outcome: Outcome): void {
  const { minLength, maxLength, pattern } = schema;
  const before = outcome.faults.length;
  if (maxLength !== undefined || minLength !== undefined) {
    const length = codePoints(value);
    if (maxLength !== undefined && length > maxLength)
      outcome.faults.push({ type: "TooLong", field: at(path), detail: `may not be more than ${maxLength} bytes` });
    if (minLength !== undefined && length < minLength)
      outcome.faults.push(fault.invalid(at(path), value, `${inBody(path)} should be at least ${minLength} chars long`));
  }
  if (pattern && !patternOf(pattern).test(value))
    outcome.faults.push(fault.invalid(at(path), value, `${inBody(path)} should match '${pattern}'`));
  const format = formatOf(schema);
  if (format && !format.test(value)) {
    const detail = `${inBody(path)} must be of type ${format.name}: ${JSON.stringify(value)}`;
    outcome.faults.push({ type: "TypeInvalid", field: at(path), value, detail });
  }
  if (outcome.faults.length === before) outcome.matched += 1;
}

function codePoints(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit < 0xdc00 && i + 1 < text.length) i += 1;
    count += 1;
  }
  return count;
}

const patterns = new Map<string, Pattern>();
const mostPatterns = 4096;
/** Matches nothing: what a pattern that is none stands for. */
const nothing: Pick<Pattern, "test"> = { test: () => false };

/** Compiled when first needed: most schemas have more patterns than any object has fields for. */
function patternOf(source: string): Pick<Pattern, "test"> {
  let pattern = patterns.get(source);
  if (!pattern) {
    try {
      pattern = compilePattern(source);
    } catch (error) {
      if (error instanceof PatternError) return nothing;
      throw error;
    }
    if (patterns.size >= mostPatterns) patterns.clear();
    patterns.set(source, pattern);
  }
  return pattern;
}

function checkNumber(value: number, schema: JsonSchema, path: Path | undefined, outcome: Outcome): void {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  const before = outcome.faults.length;
  const refuse = (detail: string): void => {
    outcome.faults.push(fault.invalid(at(path), value, `${inBody(path)} ${detail}`));
  };
  if (multipleOf !== undefined) {
    if (multipleOf <= 0)
      outcome.faults.push(
        fault.invalid(
          at(path),
          multipleOf,
          `factor MultipleOf declared for ${textOf(path)} must be positive: ${multipleOf}`,
        ),
      );
    else if (!isMultiple(value, multipleOf)) refuse(`should be a multiple of ${goNumber(multipleOf)}`);
  }
  if (maximum !== undefined && (exclusiveMaximum ? value >= maximum : value > maximum))
    refuse(`should be less than ${exclusiveMaximum ? "" : "or equal to "}${goNumber(maximum)}`);
  if (minimum !== undefined && (exclusiveMinimum ? value <= minimum : value < minimum))
    refuse(`should be greater than ${exclusiveMinimum ? "" : "or equal to "}${goNumber(minimum)}`);
  if (outcome.faults.length === before) outcome.matched += 1;
}

function isMultiple(value: number, factor: number): boolean {
  const times = factor < 1 ? (1 / factor) * value : value / factor;
  return Math.abs(times - Math.round(times)) < 1e-9 * Math.max(1, Math.abs(times));
}

/** As Go's `%v` writes a number: an exponent beyond 21 digits, of at least two digits. */
function goNumber(value: number): string {
  return String(value).replace(/e([+-])(\d)$/, "e$10$2");
}

function checkList(
  list: readonly unknown[],
  schema: JsonSchema,
  path: Path | undefined,
  before: Before,
  outcome: Outcome,
): void {
  const items = itemsOf(schema);
  const { minItems, maxItems } = schema;
  if (items) {
    const old = correlatedItems(schema, before);
    for (const [i, item] of list.entries()) merge(outcome, node(item, items, child(path, i), old(item)));
  }
  if (minItems !== undefined && list.length < minItems)
    outcome.faults.push(fault.invalid(at(path), list.length, `${inBody(path)} should have at least ${minItems} items`));
  if (maxItems !== undefined && list.length > maxItems)
    outcome.faults.push(fault.tooMany(at(path), list.length, maxItems));
  outcome.matched += 1;
}

const uncorrelated = (): Before => undefined;

/** Finds the old one of an item: only items of a list of type map are known by their keys. */
export function correlatedItems(schema: JsonSchema, before: Before): (item: unknown) => Before {
  if (!before || !Array.isArray(before.value) || schema["x-kubernetes-list-type"] !== "map") return uncorrelated;
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const byKeys = new Map(before.value.map((item: unknown) => [identityOf(keysOf(item, keys)), item]));
  return (item) => {
    const identity = identityOf(keysOf(item, keys));
    return byKeys.has(identity) ? { value: byKeys.get(identity) } : undefined;
  };
}

/** The old value of a field. */
export function correlatedField(before: Before, key: string): Before {
  if (!before || !isObject(before.value) || !Object.hasOwn(before.value, key)) return undefined;
  return { value: before.value[key] };
}

function checkObject(
  object: Readonly<Record<string, unknown>>,
  schema: JsonSchema,
  path: Path | undefined,
  before: Before,
  outcome: Outcome,
): void {
  const { properties = {}, additionalProperties, required = [], minProperties, maxProperties } = schema;
  const values = valuesOf(schema);
  const count = minProperties === undefined && maxProperties === undefined ? 0 : Object.keys(object).length;
  if (minProperties !== undefined && count < minProperties)
    outcome.faults.push(
      fault.invalid(at(path), count, `${inBody(path)} should have at least ${minProperties} properties`),
    );
  if (maxProperties !== undefined && count > maxProperties)
    outcome.faults.push(fault.tooMany(at(path), count, maxProperties));
  const own = outcome.faults.length;
  const fields: { readonly key: string; readonly begin: number }[] = [];
  for (const key of Object.keys(object)) {
    const place = child(path, key);
    fields.push({ key, begin: outcome.faults.length });
    const property = Object.hasOwn(properties, key) ? properties[key] : values;
    if (property) {
      // The version of the object can not be held against what it was converted from.
      const old = !path && (key === "apiVersion" || key === "kind") ? undefined : correlatedField(before, key);
      merge(outcome, node(object[key], property, place, old));
    } else if (additionalProperties === false)
      outcome.faults.push(fault.invalid(at(path), key, `${textOf(path)}.${key} in body is a forbidden property`));
  }
  byName(outcome.faults, own, fields);
  for (const key of required)
    if (!Object.hasOwn(object, key)) outcome.faults.push(fault.required(textOf(child(path, key))));
}

/** Faults of fields are told in the order of their names, however the client has put them. */
function byName(
  faults: FieldError[],
  own: number,
  fields: readonly { readonly key: string; readonly begin: number }[],
): void {
  if (faults.length < own + 2) return;
  const groups = fields.map(({ key, begin }, i) => ({ key, faults: faults.slice(begin, fields[i + 1]?.begin) }));
  groups.sort((a, b) => (a.key < b.key ? -1 : 1));
  faults.splice(own, faults.length - own, ...groups.flatMap((group) => group.faults));
}

function merge(into: Outcome, { faults, matched }: Outcome): void {
  into.faults.push(...faults);
  into.matched += matched;
}

/** `allOf`, `anyOf`, `oneOf` and `not`. */
function combine(value: unknown, schema: JsonSchema, path: Path | undefined, before: Before, outcome: Outcome): void {
  const { allOf, anyOf, oneOf, not } = schema;
  const refuse = (text: string): void => {
    outcome.faults.push(fault.invalid("<nil>", "", `${quoted(path)} ${text}`));
  };
  if (anyOf && anyOf.length > 0) {
    const results = anyOf.map((one) => check(value, one, path, before));
    const right = results.find(({ faults }) => faults.length === 0);
    if (!right) refuse("must validate at least one schema (anyOf)");
    merge(outcome, right ?? bestOf(results));
  }
  if (oneOf && oneOf.length > 0) {
    const results = oneOf.map((one) => check(value, one, path, before));
    const right = results.filter(({ faults }) => faults.length === 0);
    const [first] = right;
    if (right.length !== 1 || !first) {
      const found = first ? `Found ${right.length} valid alternatives` : "Found none valid";
      refuse(`must validate one and only one schema (oneOf). ${found}`);
      if (!first) merge(outcome, bestOf(results));
    } else merge(outcome, first);
  }
  if (allOf && allOf.length > 0) {
    const results = allOf.map((one) => check(value, one, path, before));
    for (const result of results) merge(outcome, result);
    const right = results.filter(({ faults }) => faults.length === 0).length;
    if (right < results.length) refuse(`must validate all the schemas (allOf)${right === 0 ? ". None validated" : ""}`);
  }
  if (not && check(value, not, path, before).faults.length === 0) refuse("must not validate the schema (not)");
  outcome.matched += 1;
}

/** Of several failures the one in which most was right. */
function bestOf(results: readonly Outcome[]): Outcome {
  return results.reduce((best, one) => (one.matched > best.matched ? one : best));
}
