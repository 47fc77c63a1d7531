import {
  add,
  checkedDuration,
  checkedTimestamp,
  divide,
  intOf,
  multiply,
  negate,
  remainder,
  subtract,
} from "../arithmetic.ts";
import {
  comparison,
  concatenation,
  containsText,
  listConcatenation,
  membership,
  regex,
  traversal,
  type CostModel,
} from "../cost.ts";
import { define, type Overload } from "../functions.ts";
import { formatDuration, formatTimestamp, partsOf, readDuration, readTimestamp } from "../time.ts";
import { typeOf } from "../types.ts";
import {
  compare,
  fail,
  lengthOf,
  typeNameOf,
  typeValue,
  uintOf,
  type DurationValue,
  type ListValue,
  type MapValue,
  type TimestampValue,
  type UintValue,
  type Value,
} from "../values.ts";
import { patternOf } from "./patterns.ts";

const maxUint = 2n ** 64n - 1n;
const second = 1_000_000_000n;

/** These are evaluated by the evaluator itself, which knows their laziness; here is what the checker needs. */
const never = (): Value => fail("no such overload");

const arithmetic = (operator: string, call: (a: Value, b: Value) => Value, ...types: string[]): Overload[] =>
  types.map((type) => define(operator, type.includes("(") ? type : `(${type}, ${type}) ${type}`, call));

const orders: readonly (readonly [string, (order: number) => boolean])[] = [
  ["_<_", (order) => order < 0],
  ["_<=_", (order) => order <= 0],
  ["_>_", (order) => order > 0],
  ["_>=_", (order) => order >= 0],
];
const numbers = ["int", "uint", "double"];
const comparable = [
  ...numbers.flatMap((a) => numbers.map((b) => [a, b] as const)),
  ...["bool", "string", "bytes", "timestamp", "duration"].map((type) => [type, type] as const),
];
const costOfOrder = (type: string): CostModel | undefined =>
  type === "string" || type === "bytes" ? comparison : undefined;

const operators: readonly Overload[] = [
  define("_&&_", "(bool, bool) bool", never),
  define("_||_", "(bool, bool) bool", never),
  define("!_", "(bool) bool", never),
  define("_?_:_", "(bool, T, T) T", never),
  define("_==_", "(T, T) bool", never, comparison),
  define("_!=_", "(T, T) bool", never, comparison),
  define("@in", "(T, list(T)) bool", never, membership),
  define("@in", "(K, map(K, V)) bool", never),
  ...arithmetic("_+_", add, "int", "uint", "double"),
  define("_+_", "(string, string) string", add, concatenation),
  define("_+_", "(bytes, bytes) bytes", add, concatenation),
  define("_+_", "(list(T), list(T)) list(T)", add, listConcatenation),
  ...arithmetic("_+_", add, "duration", "(timestamp, duration) timestamp", "(duration, timestamp) timestamp"),
  ...arithmetic("_-_", subtract, "int", "uint", "double", "duration"),
  ...arithmetic("_-_", subtract, "(timestamp, timestamp) duration", "(timestamp, duration) timestamp"),
  ...arithmetic("_*_", multiply, "int", "uint", "double"),
  ...arithmetic("_/_", divide, "int", "uint", "double"),
  ...arithmetic("_%_", remainder, "int", "uint"),
  define("-_", "(int) int", negate),
  define("-_", "(double) double", negate),
  ...orders.flatMap(([name, holds]) =>
    comparable.map(([a, b]) =>
      define(name, `(${a}, ${b}) bool`, (left: Value, right: Value) => holds(compare(left, right)), costOfOrder(a)),
    ),
  ),
];

const size = (value: Value): bigint => {
  if (typeof value === "string") return BigInt(lengthOf(value));
  if (value instanceof Uint8Array) return BigInt(value.length);
  return BigInt((value as ListValue | MapValue).size);
};
const sized = ["string", "bytes", "list(T)", "map(K, V)"];

const decoder = new TextDecoder("utf-8", { fatal: true });

function bytesToText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    return fail("invalid UTF-8 in bytes, cannot convert to string");
  }
}

function doubleToInt(value: number): bigint {
  return Number.isFinite(value) && value > -(2 ** 63) && value < 2 ** 63
    ? intOf(BigInt(Math.trunc(value)))
    : fail("integer overflow");
}

function textToInt(text: string): bigint {
  if (!/^[+-]?\d{1,20}$/.test(text)) return fail(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  const value = BigInt(text.replace("+", ""));
  return value >= -(2n ** 63n) && value < 2n ** 63n
    ? value
    : fail(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`);
}

function textToDouble(text: string): number {
  if (/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return Number(text);
  if (/^[+-]?inf(?:inity)?$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  return /^nan$/i.test(text) ? NaN : fail(`strconv.ParseFloat: parsing ${JSON.stringify(text)}: invalid syntax`);
}

const toUint = (value: bigint): UintValue =>
  value < 0n || value > maxUint ? fail("unsigned integer overflow") : uintOf(value);

function textToUint(text: string): UintValue {
  if (!/^\d{1,20}$/.test(text)) return fail(`strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
  return toUint(BigInt(text));
}

/** As Go prints a float64 with the fewest digits that say it. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value < 0 ? "-Inf" : "+Inf";
  const absolute = Math.abs(value);
  if (absolute !== 0 && (absolute < 1e-4 || absolute >= 1e21))
    return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return Object.is(value, -0) ? "-0" : String(value);
}

const truths: Readonly<Record<string, boolean>> = Object.fromEntries([
  ...["1", "t", "T", "true", "TRUE", "True"].map((text) => [text, true] as const),
  ...["0", "f", "F", "false", "FALSE", "False"].map((text) => [text, false] as const),
]);

const conversions: readonly Overload[] = [
  define("int", "(int) int", (value: bigint) => value),
  define("int", "(uint) int", ({ value }: UintValue) => intOf(value)),
  define("int", "(double) int", doubleToInt),
  define("int", "(string) int", textToInt),
  define(
    "int",
    "(timestamp) int",
    ({ nanos }: TimestampValue) => (nanos - (((nanos % second) + second) % second)) / second,
  ),
  define("int", "(duration) int", ({ nanos }: DurationValue) => nanos),
  define("uint", "(uint) uint", (value: UintValue) => value),
  define("uint", "(int) uint", toUint),
  define("uint", "(double) uint", (value: number) =>
    value >= 0 && value < 2 ** 64 ? toUint(BigInt(Math.trunc(value))) : fail("unsigned integer overflow"),
  ),
  define("uint", "(string) uint", textToUint),
  define("double", "(double) double", (value: number) => value),
  define("double", "(int) double", (value: bigint) => Number(value)),
  define("double", "(uint) double", ({ value }: UintValue) => Number(value)),
  define("double", "(string) double", textToDouble),
  define("bool", "(bool) bool", (value: boolean) => value),
  define("bool", "(string) bool", (text: string) =>
    Object.hasOwn(truths, text)
      ? truths[text] === true
      : fail(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`),
  ),
  define("string", "(string) string", (text: string) => text),
  define("string", "(bool) string", String),
  define("string", "(int) string", String),
  define("string", "(uint) string", ({ value }: UintValue) => String(value)),
  define("string", "(double) string", formatDouble),
  define("string", "(bytes) string", bytesToText, traversal()),
  define("string", "(timestamp) string", formatTimestamp),
  define("string", "(duration) string", formatDuration),
  define("bytes", "(bytes) bytes", (value: Uint8Array) => value),
  define("bytes", "(string) bytes", (text: string) => new TextEncoder().encode(text), traversal()),
  define("timestamp", "(timestamp) timestamp", (value: TimestampValue) => value),
  define(
    "timestamp",
    "(string) timestamp",
    (text: string) =>
      readTimestamp(text) ?? fail(`parsing time ${JSON.stringify(text)} as "2006-01-02T15:04:05Z07:00": cannot parse`),
  ),
  define("timestamp", "(int) timestamp", (value: bigint) => checkedTimestamp(value * second)),
  define("duration", "(duration) duration", (value: DurationValue) => value),
  define(
    "duration",
    "(string) duration",
    (text: string) => readDuration(text) ?? fail(`time: invalid duration ${JSON.stringify(text)}`),
  ),
  define("duration", "(int) duration", (value: bigint) => checkedDuration(value)),
  define("dyn", "(T) dyn", (value: Value) => value),
  { ...define("type", "(T) type", (value: Value) => typeValue(typeNameOf(value))), result: typeOf() },
];

const texts: readonly Overload[] = [
  define("contains", "string.(string) bool", (text: string, part: string) => text.includes(part), containsText),
  define("startsWith", "string.(string) bool", (text: string, part: string) => text.startsWith(part), traversal()),
  define("endsWith", "string.(string) bool", (text: string, part: string) => text.endsWith(part), traversal()),
  define("matches", "string.(string) bool", (text: string, pattern: string) => patternOf(pattern).test(text), regex),
  define("matches", "(string, string) bool", (text: string, pattern: string) => patternOf(pattern).test(text), regex),
  ...sized.flatMap((type) => [define("size", `(${type}) int`, size), define("size", `${type}.() int`, size)]),
];

const dayOfYear = (date: Date): number => Math.floor((date.getTime() - new Date(date).setUTCMonth(0, 1)) / 86_400_000);
const parts: Readonly<Record<string, (date: Date) => number>> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDayOfYear: dayOfYear,
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDate: (date) => date.getUTCDate(),
  getDayOfWeek: (date) => date.getUTCDay(),
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
  getMilliseconds: (date) => date.getUTCMilliseconds(),
};
const times: readonly Overload[] = [
  ...Object.entries(parts).flatMap(([name, part]) => [
    define(name, "timestamp.() int", (time: TimestampValue) => BigInt(part(partsOf(time, undefined)))),
    define(name, "timestamp.(string) int", (time: TimestampValue, zone: string) => BigInt(part(partsOf(time, zone)))),
  ]),
  define("getHours", "duration.() int", ({ nanos }: DurationValue) => nanos / (3600n * second)),
  define("getMinutes", "duration.() int", ({ nanos }: DurationValue) => nanos / (60n * second)),
  define("getSeconds", "duration.() int", ({ nanos }: DurationValue) => nanos / second),
  define("getMilliseconds", "duration.() int", ({ nanos }: DurationValue) => (nanos / 1_000_000n) % 1000n),
];

/** The functions and operators of CEL itself. */
export const standard: readonly Overload[] = [...operators, ...conversions, ...texts, ...times];
