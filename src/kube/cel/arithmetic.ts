import {
  bounded,
  durationOf,
  fail,
  itemsOf,
  kindOf,
  listValue,
  noOverload,
  contains,
  timestampOf,
  uintOf,
  type DurationValue,
  type ListValue,
  type TimestampValue,
  type UintValue,
  type Value,
} from "./values.ts";

const minInt = -(2n ** 63n);
const maxInt = 2n ** 63n - 1n;
const maxUint = 2n ** 64n - 1n;
/** 0001-01-01 to 9999-12-31, in nanoseconds. */
const minTimestamp = -62_135_596_800n * 1_000_000_000n;
const maxTimestamp = 253_402_300_800n * 1_000_000_000n - 1n;

export const intOf = (value: bigint): bigint => (value < minInt || value > maxInt ? fail("integer overflow") : value);
export const checkedUint = (value: bigint): UintValue =>
  value < 0n || value > maxUint ? fail("unsigned integer overflow") : uintOf(value);
export const checkedDuration = (nanos: bigint): DurationValue =>
  nanos < minInt || nanos > maxInt ? fail("duration overflow") : durationOf(nanos);
/** Undefined outside of what CEL calls a time. */
export const withinTime = (nanos: bigint): TimestampValue | undefined =>
  nanos < minTimestamp || nanos > maxTimestamp ? undefined : timestampOf(nanos);
export const checkedTimestamp = (nanos: bigint): TimestampValue => withinTime(nanos) ?? fail("timestamp overflow");

export function add(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") return intOf(a + b);
  if (typeof a === "number" && typeof b === "number") return a + b;
  if (typeof a === "string" && typeof b === "string") {
    bounded(a.length + b.length);
    return a + b;
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    const joined = new Uint8Array(bounded(a.length + b.length));
    joined.set(a);
    joined.set(b, a.length);
    return joined;
  }
  const [left, right] = [kindOf(a), kindOf(b)];
  if (left === "list" && right === "list") return addLists(a as ListValue, b as ListValue);
  if (left === "uint" && right === "uint") return checkedUint((a as UintValue).value + (b as UintValue).value);
  if (left === "duration" && right === "duration") return checkedDuration(nanos(a) + nanos(b));
  if ((left === "timestamp" && right === "duration") || (left === "duration" && right === "timestamp"))
    return checkedTimestamp(nanos(a) + nanos(b));
  return noOverload();
}

const nanos = (value: Value): bigint => (value as DurationValue).nanos;

/** Sets are joined without doubles; in lists of type map an item of `b` replaces the one of `a` with the same keys. */
function addLists(a: ListValue, b: ListValue): ListValue {
  bounded(a.size + b.size);
  const keyOf = a.keyOf;
  const [mine, theirs] = [[...itemsOf(a)], [...itemsOf(b)]];
  if (a.listType === "map" && keyOf) {
    const places = new Map(mine.map((item, i) => [keyOf(item), i]));
    for (const item of theirs) {
      const key = keyOf(item);
      const place = places.get(key);
      if (place === undefined) places.set(key, mine.push(item) - 1);
      else mine[place] = item;
    }
    return { ...listValue(mine), listType: "map", keyOf };
  }
  if (a.listType === "set")
    return { ...listValue([...mine, ...theirs.filter((item) => !contains(a, item))]), listType: "set" };
  if (mine.length === 0) return b;
  return theirs.length === 0 ? a : listValue([...mine, ...theirs]);
}

export function subtract(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") return intOf(a - b);
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [left, right] = [kindOf(a), kindOf(b)];
  if (left === "uint" && right === "uint") return checkedUint((a as UintValue).value - (b as UintValue).value);
  if (left === "timestamp" && right === "duration") return checkedTimestamp(nanos(a) - nanos(b));
  if (left === right && (left === "duration" || left === "timestamp")) return checkedDuration(nanos(a) - nanos(b));
  return noOverload();
}

export function multiply(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") return intOf(a * b);
  if (typeof a === "number" && typeof b === "number") return a * b;
  if (kindOf(a) === "uint" && kindOf(b) === "uint") return checkedUint((a as UintValue).value * (b as UintValue).value);
  return noOverload();
}

export function divide(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") return b === 0n ? fail("division by zero") : intOf(a / b);
  if (typeof a === "number" && typeof b === "number") return a / b;
  if (kindOf(a) !== "uint" || kindOf(b) !== "uint") return noOverload();
  const divisor = (b as UintValue).value;
  return divisor === 0n ? fail("division by zero") : uintOf((a as UintValue).value / divisor);
}

export function remainder(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") return b === 0n ? fail("modulus by zero") : intOf(a % b);
  if (kindOf(a) !== "uint" || kindOf(b) !== "uint") return noOverload();
  const divisor = (b as UintValue).value;
  return divisor === 0n ? fail("modulus by zero") : uintOf((a as UintValue).value % divisor);
}

export function negate(a: Value): Value {
  if (typeof a === "bigint") return intOf(-a);
  return typeof a === "number" ? -a : noOverload();
}

/** `key in container`. */
export function isIn(key: Value, container: Value): boolean {
  if (typeof container !== "object" || container === null || container instanceof Uint8Array) return noOverload();
  if (container.kind === "list") return contains(container, key);
  if (container.kind === "map") return container.get(key) !== undefined;
  if (container.kind === "object" && typeof key === "string") return container.get(key) !== undefined;
  return noOverload();
}

/** `operand[key]`; undefined when there is nothing. Throws when the operand has no elements, or not by such keys. */
export function elementOf(operand: Value, key: Value): Value | undefined {
  if (typeof operand !== "object" || operand === null || operand instanceof Uint8Array) return noOverload();
  if (operand.kind === "map") return operand.get(key);
  if (operand.kind === "object") return typeof key === "string" ? operand.get(key) : noOverload();
  if (operand.kind !== "list") return noOverload();
  const index = indexOf(key);
  return index >= 0 && index < operand.size ? operand.at(index) : undefined;
}

function indexOf(key: Value): number {
  if (typeof key === "bigint") return Number(key);
  if (typeof key === "number" && Number.isInteger(key)) return key;
  if (kindOf(key) === "uint") return Number((key as UintValue).value);
  return fail(`unsupported index type '${kindOf(key)}' in list`);
}

/** `operand.field`, of an object or a map; undefined when it is not set. */
export function fieldOf(operand: Value, field: string): Value | undefined {
  if (typeof operand === "object" && operand !== null && !(operand instanceof Uint8Array)) {
    if (operand.kind === "object" || operand.kind === "map") return operand.get(field);
  }
  return noOverload();
}
