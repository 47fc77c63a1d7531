import { parseQuantity } from "../../values/quantity.ts";
import { traversal } from "../cost.ts";
import { define, type Overload } from "../functions.ts";
import { fail, type OpaqueValue } from "../values.ts";

const type = "kubernetes.Quantity";
const giga = 1_000_000_000n;
/** What is larger was cut down to the largest amount there is. */
const inInt = (value: bigint): boolean => value > -(2n ** 63n) + 1n && value < 2n ** 63n - 1n;

/** The content is in billionths. */
const quantityOf = (nano: bigint): OpaqueValue => ({
  kind: "opaque",
  type,
  content: nano,
  equals: (other) => other.content === nano,
});
const nanoOf = ({ content }: OpaqueValue): bigint => content as bigint;

function read(text: string): bigint | RangeError {
  try {
    return parseQuantity(text).nano;
  } catch (error) {
    if (error instanceof RangeError) return error;
    throw error;
  }
}

function parse(text: string): OpaqueValue {
  const nano = read(text);
  return typeof nano === "bigint" ? quantityOf(nano) : fail(nano.message);
}

const isInteger = (value: OpaqueValue): boolean => nanoOf(value) % giga === 0n && inInt(nanoOf(value) / giga);
const compare = (a: OpaqueValue, b: OpaqueValue): bigint =>
  nanoOf(a) < nanoOf(b) ? -1n : nanoOf(a) > nanoOf(b) ? 1n : 0n;

/** Amounts as `resource.Quantity` writes them. */
export const quantities: readonly Overload[] = [
  define("quantity", `(string) ${type}`, parse, traversal()),
  define("isQuantity", "(string) bool", (text: string) => typeof read(text) === "bigint", traversal()),
  define("sign", `${type}.() int`, (value: OpaqueValue) => (nanoOf(value) > 0n ? 1n : nanoOf(value) < 0n ? -1n : 0n)),
  define("isInteger", `${type}.() bool`, isInteger),
  define("asInteger", `${type}.() int`, (value: OpaqueValue) =>
    isInteger(value) ? nanoOf(value) / giga : fail("cannot convert value to integer"),
  ),
  define("asApproximateFloat", `${type}.() double`, (value: OpaqueValue) => Number(nanoOf(value)) / 1e9),
  define("isGreaterThan", `${type}.(${type}) bool`, (a: OpaqueValue, b: OpaqueValue) => compare(a, b) > 0n),
  define("isLessThan", `${type}.(${type}) bool`, (a: OpaqueValue, b: OpaqueValue) => compare(a, b) < 0n),
  define("compareTo", `${type}.(${type}) int`, compare),
  define("add", `${type}.(${type}) ${type}`, (a: OpaqueValue, b: OpaqueValue) => quantityOf(nanoOf(a) + nanoOf(b))),
  define("add", `${type}.(int) ${type}`, (a: OpaqueValue, b: bigint) => quantityOf(nanoOf(a) + b * giga)),
  define("sub", `${type}.(${type}) ${type}`, (a: OpaqueValue, b: OpaqueValue) => quantityOf(nanoOf(a) - nanoOf(b))),
  define("sub", `${type}.(int) ${type}`, (a: OpaqueValue, b: bigint) => quantityOf(nanoOf(a) - b * giga)),
];
