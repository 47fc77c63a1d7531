import { formatDuration, formatTimestamp } from "../time.ts";
import {
  bounded,
  fail,
  itemsOf,
  kindOf,
  textOf,
  typeNameOf,
  type DurationValue,
  type ListValue,
  type MapValue,
  type TimestampValue,
  type UintValue,
  type Value,
} from "../values.ts";

/** Digits behind the point that a text may ask for. */
const maxPrecision = 1000;

/** `"%s has %d".format([...])`. Throws EvaluationFault for clauses it does not know and for arguments that do not fit. */
export function format(text: string, args: ListValue): string {
  let [out, used] = ["", 0];
  for (let at = 0; at < text.length;) {
    const percent = text.indexOf("%", at);
    if (percent < 0) return out + text.slice(at);
    out += text.slice(at, percent);
    if (text[percent + 1] === "%") {
      out += "%";
      at = percent + 2;
      continue;
    }
    const clause = /%(?:\.(\d{1,6}))?([A-Za-z])/y;
    clause.lastIndex = percent;
    const [all, digits, verb] =
      clause.exec(text) ?? fail("could not parse formatting clause: unexpected end of string");
    if (used >= args.size) fail(`index ${used} out of range`);
    const precision = digits === undefined ? undefined : Number(digits);
    if (precision !== undefined && precision > maxPrecision) fail(`precision ${precision} is too large`);
    bounded(out.length);
    out += show(verb ?? "", args.at(used++), precision);
    at = percent + all.length;
  }
  return out;
}

function show(verb: string, value: Value, precision: number | undefined): string {
  switch (verb) {
    case "s":
      return showText(value);
    case "d":
      if (typeof value === "bigint") return String(value);
      if (kindOf(value) === "uint") return String((value as UintValue).value);
      return fail(
        `error during formatting: decimal clause can only be used on integers, was given ${typeNameOf(value)}`,
      );
    case "f":
      return fixed(numberOf(value, "fixed-point"), precision ?? 6);
    case "e":
      return exponent(numberOf(value, "scientific notation"), precision ?? 6);
    case "b":
      if (typeof value === "boolean") return value ? "1" : "0";
      return integerOf(value, "only integers and bools can be formatted as binary").toString(2);
    case "o":
      return integerOf(value, "octal clause can only be used on integers").toString(8);
    case "x":
    case "X": {
      const hex = hexOf(value);
      return verb === "X" ? hex.toUpperCase() : hex;
    }
    default:
      return fail(`could not parse formatting clause: unrecognized formatting clause "${verb}"`);
  }
}

function hexOf(value: Value): string {
  if (typeof value === "string") return Buffer.from(value).toString("hex");
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return integerOf(value, "only integers, byte buffers, and strings can be formatted as hex").toString(16);
}

function integerOf(value: Value, otherwise: string): bigint {
  if (typeof value === "bigint") return value;
  return kindOf(value) === "uint"
    ? (value as UintValue).value
    : fail(`error during formatting: ${otherwise}, was given ${typeNameOf(value)}`);
}

function numberOf(value: Value, clause: string): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (value === "NaN" || value === "Infinity" || value === "-Infinity") return Number(value);
  return fail(`error during formatting: ${clause} clause can only be used on doubles, was given ${typeNameOf(value)}`);
}

const special = (value: number): string | undefined =>
  Number.isFinite(value) ? undefined : Number.isNaN(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
/** JavaScript gives at most 100 digits: all that follow are zero. */
const fixed = (value: number, precision: number): string =>
  special(value) ?? value.toFixed(Math.min(precision, 100)) + "0".repeat(Math.max(precision - 100, 0));
const exponent = (value: number, precision: number): string =>
  special(value) ?? value.toExponential(Math.min(precision, 100)).replace(/e([+-])(\d)$/, "e$10$2");

function showText(value: Value): string {
  switch (kindOf(value)) {
    case "string":
      return value as string;
    case "bool":
    case "int":
      return textOf(value);
    case "double":
      return special(value as number) ?? textOf(value);
    case "uint":
      return String((value as UintValue).value);
    case "null":
      return "null";
    case "bytes":
      return new TextDecoder().decode(value as Uint8Array);
    case "timestamp":
      return formatTimestamp(value as TimestampValue);
    case "duration":
      return formatDuration(value as DurationValue);
    case "list":
      return `[${[...itemsOf(value as ListValue)].map(showText).join(", ")}]`;
    case "map": {
      const map = value as MapValue;
      const entries = map.keys().map((key) => [showText(key), showText(map.get(key) ?? null)] as const);
      return `{${entries
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, item]) => `${key}: ${item}`)
        .join(", ")}}`;
    }
    case "type":
      return (value as { name: string }).name;
    default:
      return fail(
        `error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ${typeNameOf(value)}`,
      );
  }
}
