/** A value of an expression. `int` is a bigint, `double` a number. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | UintValue
  | TimestampValue
  | DurationValue
  | ListValue
  | MapValue
  | ObjectValue
  | OptionalValue
  | TypeValue
  | OpaqueValue;

export interface UintValue {
  readonly kind: "uint";
  readonly value: bigint;
}
export interface TimestampValue {
  readonly kind: "timestamp";
  /** Nanoseconds since the epoch. */
  readonly nanos: bigint;
}
export interface DurationValue {
  readonly kind: "duration";
  readonly nanos: bigint;
}
export interface ListValue {
  readonly kind: "list";
  readonly size: number;
  /** `i` is below `size`. */
  at(i: number): Value;
  /** `x-kubernetes-list-type`. */
  readonly listType?: "set" | "map";
  /** For a list of type map: the values of its keys in one text. */
  readonly keyOf?: (item: Value) => string;
}
export interface MapValue {
  readonly kind: "map";
  readonly size: number;
  get(key: Value): Value | undefined;
  keys(): readonly Value[];
}
/** An object with known fields. */
export interface ObjectValue {
  readonly kind: "object";
  readonly type: string;
  /** Undefined when the field is not set. */
  get(field: string): Value | undefined;
  /** Names of the fields that are set. */
  fields(): readonly string[];
}
export interface OptionalValue {
  readonly kind: "optional";
  readonly value?: Value;
}
export interface TypeValue {
  readonly kind: "type";
  readonly name: string;
}
/** What only functions look into: a URL, a quantity, an address. */
export interface OpaqueValue {
  readonly kind: "opaque";
  readonly type: string;
  readonly content: unknown;
  /** Equality of two values of this type; absent: by identity of the content. */
  readonly equals?: (other: OpaqueValue) => boolean;
  /** For costs; absent is 1. */
  readonly size?: number;
}

/** An expression failed while it ran: `no such key: a`. Takes no stack: expressions fail often, and are expected to. */
export class EvaluationFault extends Error {
  override name = "EvaluationFault";
  readonly code: "EvaluationFault" | "CostExceeded";

  constructor(message: string, code: "EvaluationFault" | "CostExceeded" = "EvaluationFault") {
    super(message);
    this.code = code;
  }
}

export const fail = (message: string): never => {
  throw new EvaluationFault(message);
};
export const noOverload = (): never => fail("no such overload");

export const uintOf = (value: bigint): UintValue => ({ kind: "uint", value });
export const timestampOf = (nanos: bigint): TimestampValue => ({ kind: "timestamp", nanos });
export const durationOf = (nanos: bigint): DurationValue => ({ kind: "duration", nanos });
export const typeValue = (name: string): TypeValue => ({ kind: "type", name });
export const none: OptionalValue = { kind: "optional" };
export const some = (value: Value): OptionalValue => ({ kind: "optional", value });
export const listValue = (items: readonly Value[]): ListValue => ({
  kind: "list",
  size: items.length,
  at: (i) => items[i] ?? null,
});

/** The items of a list, one by one. */
export function* itemsOf(list: ListValue): Generator<Value> {
  for (let i = 0; i < list.size; i++) yield list.at(i);
}

/** A map from entries; a later one with an equal key replaces. Throws for a key that can not be one. */
export function mapValue(entries: Iterable<readonly [Value, Value]>): MapValue {
  const byKey = new Map<string, readonly [Value, Value]>();
  for (const entry of entries) byKey.set(keyText(entry[0]), entry);
  return {
    kind: "map",
    size: byKey.size,
    get: (key) => (isKey(key) ? byKey.get(keyText(key))?.[1] : undefined),
    keys: () => [...byKey.values()].map(([key]) => key),
  };
}

const isKey = (value: Value): boolean =>
  typeof value === "string" ||
  typeof value === "bigint" ||
  typeof value === "number" ||
  typeof value === "boolean" ||
  (typeof value === "object" && value !== null && "kind" in value && value.kind === "uint");

/** One text for equal keys: numbers of all types that are the same number are the same key. */
export function keyText(key: Value): string {
  if (typeof key === "string") return `s${key}`;
  if (typeof key === "bigint") return `n${key}`;
  if (typeof key === "boolean") return key ? "true" : "false";
  if (typeof key === "number" && Number.isInteger(key)) return `n${BigInt(key)}`;
  if (typeof key === "number") return `d${key}`;
  if (key !== null && kindOf(key) === "uint") return `n${(key as UintValue).value}`;
  return fail(`unsupported key type: ${typeNameOf(key)}`);
}

export type Kind =
  | "null"
  | "bool"
  | "int"
  | "double"
  | "string"
  | "bytes"
  | "uint"
  | "timestamp"
  | "duration"
  | "list"
  | "map"
  | "object"
  | "optional"
  | "type"
  | "opaque";

export function kindOf(value: Value): Kind {
  switch (typeof value) {
    case "string":
      return "string";
    case "bigint":
      return "int";
    case "boolean":
      return "bool";
    case "number":
      return "double";
    default:
      return value === null ? "null" : value instanceof Uint8Array ? "bytes" : value.kind;
  }
}

/** The name that `type(x)` has. */
export function typeNameOf(value: Value): string {
  const kind = kindOf(value);
  switch (kind) {
    case "null":
      return "null_type";
    case "timestamp":
      return "google.protobuf.Timestamp";
    case "duration":
      return "google.protobuf.Duration";
    case "optional":
      return "optional_type";
    case "object":
      return (value as ObjectValue).type;
    case "opaque":
      return (value as OpaqueValue).type;
    default:
      return kind;
  }
}

/** A key or another simple value as messages and JSON show it; the type's name for all else. */
export function textOf(value: Value): string {
  if (typeof value !== "object") return String(value);
  return value !== null && "kind" in value && value.kind === "uint" ? String(value.value) : typeNameOf(value);
}

/** Characters (code points) in a text. */
export function lengthOf(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit < 0xdc00) {
      const next = text.charCodeAt(i + 1);
      if (next >= 0xdc00 && next < 0xe000) {
        length--;
        i++;
      }
    }
  }
  return length;
}

/** The size that costs are reckoned with: characters, bytes, items, entries; 1 for all else. */
export function sizeOf(value: Value): number {
  if (typeof value === "string") return lengthOf(value);
  if (typeof value !== "object" || value === null) return 1;
  if (value instanceof Uint8Array) return value.length;
  if (value.kind === "list" || value.kind === "map") return value.size;
  return value.kind === "opaque" ? (value.size ?? 1) : 1;
}

/** Characters of a text, bytes or items that one function may make: costs are reckoned when it is made already. */
const largest = 8 * 1024 * 1024;

/** The size, if a value may be as large. */
export const bounded = (size: number): number =>
  size > largest ? fail(`result is too large: ${size}, limit ${largest}`) : size;

/** Both as numbers that can be compared; undefined when one is none. */
function asNumber(value: Value): bigint | number | undefined {
  if (typeof value === "bigint" || typeof value === "number") return value;
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "uint"
    ? value.value
    : undefined;
}

/** `a == b`: values of different types are not equal, but numbers are, whatever their type. */
export function equals(a: Value, b: Value): boolean {
  if (typeof a === "string" || typeof a === "boolean" || a === null) return a === b;
  const number = asNumber(a);
  if (number !== undefined) {
    const other = asNumber(b);
    // Loose equality is exact between bigint and number.
    // oxlint-disable-next-line eqeqeq
    return other !== undefined && number == other;
  }
  if (typeof a !== "object" || typeof b !== "object" || b === null) return false;
  if (a instanceof Uint8Array)
    return b instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]);
  if (b instanceof Uint8Array || a.kind !== b.kind) return false;
  switch (a.kind) {
    case "timestamp":
    case "duration":
      return a.nanos === (b as TimestampValue).nanos;
    case "list":
      return equalLists(a, b as ListValue);
    case "map": {
      const other = b as MapValue;
      return (
        a.size === other.size &&
        a.keys().every((key) => {
          const [mine, theirs] = [a.get(key), other.get(key)];
          return mine !== undefined && theirs !== undefined && equals(mine, theirs);
        })
      );
    }
    case "object": {
      const other = b as ObjectValue;
      const fields = a.fields();
      return (
        fields.length === other.fields().length &&
        fields.every((field) => {
          const [mine, theirs] = [a.get(field), other.get(field)];
          return mine !== undefined && theirs !== undefined && equals(mine, theirs);
        })
      );
    }
    case "optional": {
      const other = (b as OptionalValue).value;
      return a.value === undefined ? other === undefined : other !== undefined && equals(a.value, other);
    }
    case "type":
      return a.name === (b as TypeValue).name;
    case "opaque": {
      const other = b as OpaqueValue;
      return a.type === other.type && (a.equals ? a.equals(other) : a.content === other.content);
    }
    default:
      return false;
  }
}

function equalLists(a: ListValue, b: ListValue): boolean {
  if (a.size !== b.size) return false;
  const keyOf = a.keyOf ?? b.keyOf;
  if (keyOf) {
    const theirs = new Map<string, Value>();
    for (const item of itemsOf(b)) theirs.set(keyOf(item), item);
    return [...itemsOf(a)].every((item) => {
      const other = theirs.get(keyOf(item));
      return other !== undefined && equals(item, other);
    });
  }
  if (a.listType === "set" || b.listType === "set")
    return [...itemsOf(a)].every((item) => contains(b, item)) && [...itemsOf(b)].every((item) => contains(a, item));
  for (let i = 0; i < a.size; i++) if (!equals(a.at(i), b.at(i))) return false;
  return true;
}

export function contains(list: ListValue, wanted: Value): boolean {
  for (let i = 0; i < list.size; i++) if (equals(list.at(i), wanted)) return true;
  return false;
}

/** Negative, 0 or positive; NaN when the two can not be compared. Throws `no such overload` for types without an order. */
export function compare(a: Value, b: Value): number {
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  const [left, right] = [asNumber(a), asNumber(b)];
  // oxlint-disable-next-line eqeqeq
  if (left !== undefined && right !== undefined) return left < right ? -1 : left > right ? 1 : left == right ? 0 : NaN;
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  const kind = kindOf(a);
  if (kind === kindOf(b) && (kind === "timestamp" || kind === "duration")) {
    const difference = (a as TimestampValue).nanos - (b as TimestampValue).nanos;
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  }
  return noOverload();
}

/** In the order of code points, which is that of UTF-8. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [left, right] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (left === right) continue;
    const [leftHigh, rightHigh] = [left >= 0xd800 && left < 0xe000, right >= 0xd800 && right < 0xe000];
    return leftHigh === rightHigh ? left - right : leftHigh ? 1 : -1;
  }
  return a.length - b.length;
}
