import type { Definition } from "../definition.ts";
import { zeroValues } from "../generated/zero-values.ts";
import { goStructName, goTypeOf, resolve, type NamedDefinition } from "../schema.ts";
import { isObject, setOwn } from "../values/equal.ts";
import { canonicalQuantity } from "../values/quantity.ts";
import { canonicalTime } from "../values/time.ts";

/** A value does not have the structure of its kind. The message is in the words of Go's decoder. */
export class StructureError extends Error {
  override name = "StructureError";
}

export interface Structured {
  readonly value: Record<string, unknown>;
  /** Fields that the kind does not have, as paths from the root. They are left out of the value. */
  readonly unknown: readonly string[];
}

/** Where in the object a value stands. Its texts are made only for messages. */
interface Place {
  readonly parent: Place | undefined;
  /** The name of the field, the key in a map, or the index in a list. */
  readonly step: string | number;
  /** The Go struct that holds the value as a field; absent for items of lists and maps. */
  readonly struct: string | undefined;
}

/** Path from the root, with indexes: `spec.ports[0].port`. */
function pathOf(place: Place | undefined): string {
  if (!place) return "";
  const before = pathOf(place.parent);
  if (typeof place.step === "number") return `${before}[${place.step}]`;
  return before === "" ? place.step : `${before}.${place.step}`;
}

/** The field that a value is in, as Go's decoder names it: `ServicePort.spec.ports.port`. */
function fieldOf(place: Place): string | undefined {
  const fields: string[] = [];
  let struct: string | undefined;
  for (let at: Place | undefined = place; at; at = at.parent) {
    if (at.struct === undefined) continue;
    struct ??= at.struct;
    fields.unshift(String(at.step));
  }
  return struct === undefined ? undefined : `${struct}.${fields.join(".")}`;
}

/** Free-form values (managed fields, raw extensions) may nest this deep. */
const maxDepth = 500;
const maxUnknown = 100;

/**
 * A copy of `value` in the structure of `root`: unknown fields and nulls left out, times and quantities in canonical
 * form. Throws StructureError for the first value of a wrong type. The input is not changed and not kept.
 */
export function structure(root: NamedDefinition, value: unknown): Structured {
  const unknown = new Set<string>();

  function convert(definition: Definition, input: unknown, place: Place): unknown {
    const { name, definition: target } = resolve(definition);
    const scalar = name === undefined ? undefined : scalars[name];
    if (scalar) return scalar(input, place);
    if (target.properties && name !== undefined) return struct({ name, definition: target }, input, place);
    switch (target.type) {
      case "array":
        return list(target, input, place);
      case "object":
        return target.additionalProperties ? map(target, target.additionalProperties, input, place) : raw(input, place);
      case "integer":
        return integer(target, input, place);
      default:
        return simple(target, input, place);
    }
  }

  function struct(
    { name = "", definition }: NamedDefinition,
    input: unknown,
    place: Place | undefined,
  ): Record<string, unknown> {
    if (!isObject(input)) throw mismatch(input, place, goStructType(name));
    const output: Record<string, unknown> = {};
    const holder = goStructName(name);
    const { properties = {} } = definition;
    const { omitted, filled } = zeroRulesOf(name);
    for (const key in input) {
      const child = input[key];
      if (child === undefined) continue;
      const field = Object.hasOwn(properties, key) ? properties[key] : undefined;
      const at = { parent: place, step: key, struct: holder };
      if (!field) {
        if (unknown.size < maxUnknown) unknown.add(pathOf(at));
        continue;
      }
      if (child === null) continue;
      const converted = convert(field, child, at);
      if (isEmpty(converted) ? filled.has(key) || !isCollection(field) : !isZero(converted) || !omitted.has(key))
        output[key] = converted;
    }
    for (const [key, zero] of filled) {
      if (output[key] !== undefined) continue;
      const field = properties[key];
      if (!field) continue;
      if (zero === null || typeof zero !== "object") output[key] = zero;
      else if (Array.isArray(zero)) output[key] = [];
      else output[key] = field.$ref ? struct(resolve(field), {}, { parent: place, step: key, struct: holder }) : {};
    }
    return output;
  }

  function list(definition: Definition, input: unknown, place: Place): unknown[] {
    if (!Array.isArray(input)) throw mismatch(input, place, goTypeOf(definition));
    const items = definition.items ?? {};
    return input.map((item: unknown, i) => element(items, item, { parent: place, step: i, struct: undefined }));
  }

  /** A value in a list or a map. What Go makes of a null there is the zero of the type, with the fields that a struct always has. */
  function element(definition: Definition, item: unknown, at: Place): unknown {
    if (item !== null) return convert(definition, item, at);
    const resolved = resolve(definition);
    return resolved.definition.properties ? struct(resolved, {}, at) : zeroOf(definition);
  }

  function map(definition: Definition, values: Definition, input: unknown, place: Place): Record<string, unknown> {
    if (!isObject(input)) throw mismatch(input, place, goTypeOf(definition));
    const output: Record<string, unknown> = {};
    for (const key in input) {
      const item = input[key];
      if (item === undefined) continue;
      const at = { parent: place, step: key, struct: undefined };
      setOwn(output, key, element(values, item, at));
    }
    return output;
  }

  return { value: struct(root, value, undefined), unknown: [...unknown] };
}

/** What Go does about fields of a struct that hold the zero of their type. */
interface ZeroRules {
  /** Scalars that are left out then. */
  readonly omitted: ReadonlySet<string>;
  /** Fields that are there also when nothing was given for them, and what they hold then; `{}` for a struct is that struct's own zero. */
  readonly filled: ReadonlyMap<string, unknown>;
}

const zeroRules = new Map<string, ZeroRules>();
const noRules: ZeroRules = { omitted: new Set(), filled: new Map() };

function zeroRulesOf(name: string): ZeroRules {
  let rules = zeroRules.get(name);
  if (!rules) {
    const known = zeroValues[name];
    if (!known) return noRules;
    rules = { omitted: new Set(known.omitted), filled: new Map(Object.entries(known.filled ?? {})) };
    zeroRules.set(name, rules);
  }
  return rules;
}

const isZero = (value: unknown): boolean => value === "" || value === 0 || value === false;

const isEmpty = (value: unknown): boolean =>
  Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;

/** Lists and maps, which Go leaves out when they are empty: not so pointers to structs. */
const isCollection = ({ type }: Definition): boolean => type === "array" || type === "object";

/** What Go makes of a null inside a list or a map. */
function zeroOf(definition: Definition): unknown {
  const { name, definition: target } = resolve(definition);
  if (name === quantityName) return "0";
  if (target.properties || target.type === "object") return {};
  if (target.type === "array") return [];
  if (target.type === "integer" || target.type === "number") return 0;
  return target.type === "boolean" ? false : "";
}

const ranges: Record<string, [number, number]> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-(2 ** 63), 2 ** 63 - 1],
};

function integer(definition: Definition, input: unknown, place: Place): number {
  const type = goTypeOf(definition);
  const [low, high] = ranges[type] ?? [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];
  if (typeof input !== "number") throw mismatch(input, place, type);
  if (!Number.isInteger(input) || input < low || input > high) throw mismatch(input, place, type, `number ${input}`);
  if (!Number.isSafeInteger(input)) {
    const text = mismatch(input, place, type, `number ${input}`).message;
    throw new StructureError(`${text}: integers are held up to ${Number.MAX_SAFE_INTEGER} here`);
  }
  return input;
}

function simple(definition: Definition, input: unknown, place: Place): unknown {
  const expected = definition.type ?? "string";
  if (typeof input !== expected) throw mismatch(input, place, goTypeOf(definition));
  if (definition.format === "byte") checkBase64(String(input));
  return input;
}

/** Copies a free-form object, with bounded depth. */
function raw(input: unknown, place: Place): unknown {
  if (!isObject(input)) throw mismatch(input, place, "map[string]interface {}");
  return anything(input);
}

/** Copies a free-form value, with bounded depth. */
function anything(input: unknown): unknown {
  const copy = (value: unknown, depth: number): unknown => {
    if (depth > maxDepth) throw new StructureError("exceeded max depth");
    if (Array.isArray(value)) return value.map((item) => copy(item, depth + 1));
    if (!isObject(value)) return value;
    const output: Record<string, unknown> = {};
    for (const key in value) setOwn(output, key, copy(value[key], depth + 1));
    return output;
  };
  return copy(input, 0);
}

const extensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";

const quantityName = "io.k8s.apimachinery.pkg.api.resource.Quantity";

/** Types that read their own JSON. */
const scalars: Record<string, (input: unknown, place: Place) => unknown> = {
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": (input) => {
    if (typeof input === "string") return input;
    const [low, high] = ranges["int32"] ?? [0, 0];
    if (typeof input === "number" && Number.isInteger(input) && input >= low && input <= high) return input;
    const shown = typeof input === "number" ? `number ${input}` : jsonType(input);
    throw new StructureError(`json: cannot unmarshal ${shown} into Go value of type int32`);
  },
  [quantityName]: (input) => {
    try {
      return canonicalQuantity(typeof input === "number" ? input : String(input));
    } catch (error) {
      throw new StructureError((error as RangeError).message);
    }
  },
  "io.k8s.apimachinery.pkg.apis.meta.v1.Time": (input) => time(input, false),
  "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": (input) => time(input, true),
  "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": raw,
  "io.k8s.apimachinery.pkg.runtime.RawExtension": raw,
  [`${extensions}.JSON`]: anything,
  [`${extensions}.JSONSchemaPropsOrArray`]: (input, place) =>
    Array.isArray(input) ? input.map((item: unknown) => schemaProps(item, place)) : schemaProps(input, place),
  [`${extensions}.JSONSchemaPropsOrBool`]: (input, place) =>
    typeof input === "boolean" ? input : schemaProps(input, place),
  [`${extensions}.JSONSchemaPropsOrStringArray`]: (input, place) => {
    if (!Array.isArray(input)) return schemaProps(input, place);
    return input.map((item: unknown) => simple({ type: "string" }, item, place));
  },
};

/** A schema in a place where there may also be something else: unknown fields are left out without a word, as in Go. */
function schemaProps(input: unknown, place: Place): unknown {
  if (!isObject(input)) throw mismatch(input, place, "v1.JSONSchemaProps");
  return structure(resolve({ $ref: `#/definitions/${extensions}.JSONSchemaProps` }), input).value;
}

function time(input: unknown, micro: boolean): string {
  if (typeof input !== "string") {
    throw new StructureError(`json: cannot unmarshal ${jsonType(input)} into Go value of type string`);
  }
  const canonical = canonicalTime(input, micro);
  if (canonical !== undefined) return canonical;
  const layout = micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00";
  const shown = JSON.stringify(input);
  throw new StructureError(`parsing time ${shown} as "${layout}": cannot parse ${shown} as "2006"`);
}

function checkBase64(text: string): void {
  // Go's decoder skips line ends.
  const plain = text.replace(/[\r\n]/g, "");
  const good = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?/.exec(plain)?.[0].length ?? 0;
  if (good === plain.length) return;
  const wrong = plain.slice(good).search(/[^A-Za-z0-9+/]/);
  throw new StructureError(
    `illegal base64 data at input byte ${wrong < 0 ? plain.length - (plain.length % 4) : good + wrong}`,
  );
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  return value === null ? "null" : typeof value;
}

const goStructType = (name: string) => name.split(".").slice(-2).join(".");

function mismatch(input: unknown, place: Place | undefined, type: string, shown = jsonType(input)): StructureError {
  const field = place && fieldOf(place);
  const where = field === undefined ? "Go value" : `Go struct field ${field}`;
  return new StructureError(`json: cannot unmarshal ${shown} into ${where} of type ${type}`);
}
