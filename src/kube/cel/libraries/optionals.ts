import { define, type Overload } from "../functions.ts";
import { fail, none, some, type OptionalValue, type Value } from "../values.ts";

const isZero = (value: Value): boolean => {
  if (value === null || value === false || value === 0 || value === 0n || value === "") return true;
  if (typeof value !== "object") return false;
  if (value instanceof Uint8Array) return value.length === 0;
  if (value.kind === "list" || value.kind === "map") return value.size === 0;
  if (value.kind === "uint") return value.value === 0n;
  if (value.kind === "duration") return value.nanos === 0n;
  return value.kind === "object" ? value.fields().length === 0 : value.kind === "optional" && value.value === undefined;
};

const orElse = (a: OptionalValue, b: OptionalValue): OptionalValue => (a.value === undefined ? b : a);

/** Values that may be absent. */
export const optionals: readonly Overload[] = [
  define("optional.of", "(T) optional(T)", some),
  define("optional.ofNonZeroValue", "(T) optional(T)", (value: Value) => (isZero(value) ? none : some(value))),
  define("optional.none", "() optional(T)", () => none),
  define("hasValue", "optional(T).() bool", ({ value }: OptionalValue) => value !== undefined),
  define("value", "optional(T).() T", ({ value }: OptionalValue) =>
    value === undefined ? fail("optional.none() dereference") : value,
  ),
  define("or", "optional(T).(optional(T)) optional(T)", orElse),
  define("orValue", "optional(T).(T) T", ({ value }: OptionalValue, other: Value) =>
    value === undefined ? other : value,
  ),
];
