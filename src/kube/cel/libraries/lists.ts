import { add, isIn } from "../arithmetic.ts";
import { listTraversal, product, regex } from "../cost.ts";
import { define, type Overload } from "../functions.ts";
import {
  compare,
  contains,
  durationOf,
  equals,
  fail,
  itemsOf,
  listValue,
  uintOf,
  type ListValue,
  type Value,
} from "../values.ts";
import { patternOf } from "./patterns.ts";

function isSorted(list: ListValue): boolean {
  for (let i = 1; i < list.size; i++) if (compare(list.at(i - 1), list.at(i)) > 0) return false;
  return true;
}

const sum =
  (zero: Value) =>
  (list: ListValue): Value => {
    let total = zero;
    for (const item of itemsOf(list)) total = total === zero ? item : add(total, item);
    return total;
  };

const extreme =
  (name: string, sign: number) =>
  (list: ListValue): Value => {
    if (list.size === 0) return fail(`${name} called on empty list`);
    let best = list.at(0);
    for (const item of itemsOf(list)) if (compare(item, best) * sign > 0) best = item;
    return best;
  };

function indexOf(list: ListValue, wanted: Value): bigint {
  for (let i = 0; i < list.size; i++) if (equals(list.at(i), wanted)) return BigInt(i);
  return -1n;
}

function lastIndexOf(list: ListValue, wanted: Value): bigint {
  for (let i = list.size - 1; i >= 0; i--) if (equals(list.at(i), wanted)) return BigInt(i);
  return -1n;
}

const comparable = ["int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"];
const summable: readonly (readonly [string, Value])[] = [
  ["int", 0n],
  ["uint", uintOf(0n)],
  ["double", 0],
  ["duration", durationOf(0n)],
];

/** Kubernetes' own functions of lists. */
export const lists: readonly Overload[] = [
  ...comparable.flatMap((type) => [
    define("isSorted", `list(${type}).() bool`, isSorted, listTraversal),
    define("min", `list(${type}).() ${type}`, extreme("min", -1), listTraversal),
    define("max", `list(${type}).() ${type}`, extreme("max", 1), listTraversal),
  ]),
  ...summable.map(([type, zero]) => define("sum", `list(${type}).() ${type}`, sum(zero), listTraversal)),
  define("indexOf", "list(T).(T) int", indexOf, listTraversal),
  define("lastIndexOf", "list(T).(T) int", lastIndexOf, listTraversal),
];

const includesAll = (list: ListValue, part: ListValue): boolean =>
  [...itemsOf(part)].every((item) => contains(list, item));

/** Lists as sets. */
export const sets: readonly Overload[] = [
  define("sets.contains", "(list(T), list(T)) bool", includesAll, product()),
  define(
    "sets.equivalent",
    "(list(T), list(T)) bool",
    (a: ListValue, b: ListValue) => includesAll(a, b) && includesAll(b, a),
    product(2),
  ),
  define(
    "sets.intersects",
    "(list(T), list(T)) bool",
    (a: ListValue, b: ListValue) => [...itemsOf(a)].some((item) => isIn(item, b)),
    product(),
  ),
];

function findAll(text: string, pattern: string, limit = -1n): Value {
  return limit === 0n
    ? listValue([])
    : listValue(patternOf(pattern).findAll(text, limit < 0n ? Infinity : Number(limit)));
}

function find(text: string, pattern: string): string {
  const found = patternOf(pattern).find(text);
  return found ? text.slice(found.start, found.end) : "";
}

/** What of a text a pattern matches. */
export const regexes: readonly Overload[] = [
  define("find", "string.(string) string", find, regex),
  define("findAll", "string.(string) list(string)", findAll, regex),
  define("findAll", "string.(string, int) list(string)", findAll, regex),
];
