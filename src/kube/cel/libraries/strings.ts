import { joining, listTraversal, replacement, splitting, traversal } from "../cost.ts";
import { define, type Overload } from "../functions.ts";
import { bounded, fail, itemsOf, lengthOf, listValue, type ListValue, type Value } from "../values.ts";
import { format } from "./format-text.ts";

/** Positions count characters. Texts without characters beyond the basic plane, which is most, need no splitting. */
const isPlain = (text: string): boolean => lengthOf(text) === text.length;
const charactersOf = (text: string): readonly string[] | string => (isPlain(text) ? text : Array.from(text));
const join = (characters: readonly string[] | string, start: number, end: number): string =>
  typeof characters === "string" ? characters.slice(start, end) : characters.slice(start, end).join("");

function charAt(text: string, at: bigint): string {
  const characters = charactersOf(text);
  if (at < 0n || at > BigInt(characters.length)) return fail(`index out of range: ${at}`);
  return characters[Number(at)] ?? "";
}

function substring(text: string, start: bigint, end?: bigint): string {
  const characters = charactersOf(text);
  const length = BigInt(characters.length);
  const stop = end ?? length;
  if (start < 0n || start > length) return fail(`index out of range: ${start}`);
  if (end !== undefined && start > end) return fail(`invalid substring range. start: ${start}, end: ${end}`);
  if (stop < 0n || stop > length) return fail(`index out of range: ${stop}`);
  return join(characters, Number(start), Number(stop));
}

function indexOf(text: string, part: string, from = 0n): bigint {
  const length = BigInt(lengthOf(text));
  if (part === "") return from < 0n ? fail(`index out of range: ${from}`) : from;
  if (from < 0n || from > length) return fail(`index out of range: ${from}`);
  if (isPlain(text)) return BigInt(text.indexOf(part, Number(from)));
  const characters = Array.from(text);
  const skipped = characters.slice(0, Number(from)).join("").length;
  const found = text.indexOf(part, skipped);
  return found < 0 ? -1n : BigInt(lengthOf(text.slice(0, found)));
}

function lastIndexOf(text: string, part: string, from?: bigint): bigint {
  const length = BigInt(lengthOf(text));
  if (from !== undefined && part !== "" && (from < 0n || from > length)) return fail(`index out of range: ${from}`);
  if (part === "") return from ?? length;
  if (isPlain(text)) return BigInt(text.lastIndexOf(part, from === undefined ? Infinity : Number(from)));
  const until = from === undefined ? text.length : Array.from(text).slice(0, Number(from)).join("").length;
  const found = text.lastIndexOf(part, until);
  return found < 0 ? -1n : BigInt(lengthOf(text.slice(0, found)));
}

/** A negative limit is none. */
function replace(text: string, old: string, next: string, limit = -1n): string {
  const most = limit < 0n ? Infinity : Number(limit);
  const parts = old === "" ? ["", ...Array.from(text), ""] : text.split(old);
  const count = Math.min(most, parts.length - 1);
  bounded(text.length + count * (next.length - old.length));
  return (
    parts.slice(0, count + 1).join(next) +
    parts
      .slice(count + 1)
      .map((part) => old + part)
      .join("")
  );
}

function split(text: string, separator: string, limit = -1n): Value {
  if (limit === 0n) return listValue([]);
  if (limit === 1n) return listValue([text]);
  const parts = separator === "" ? Array.from(text) : text.split(separator);
  const most = Number(limit);
  if (limit < 0n || parts.length <= most) return listValue(parts);
  return listValue([...parts.slice(0, most - 1), parts.slice(most - 1).join(separator)]);
}

function joinList(list: ListValue, separator = ""): string {
  const parts = [...itemsOf(list)].map((item) => (typeof item === "string" ? item : fail("no such overload")));
  bounded(parts.reduce((sum, part) => sum + part.length + separator.length, 0));
  return parts.join(separator);
}

const lower = (text: string): string => text.replace(/[A-Z]+/g, (part) => part.toLowerCase());
const upper = (text: string): string => text.replace(/[a-z]+/g, (part) => part.toUpperCase());
/** What Unicode calls white space, which is not all that JavaScript's trim takes away. */
const trim = (text: string): string =>
  text
    .replace(/^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/, "")
    .replace(
      /(?<![\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/,
      "",
    );

const quotes: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};
const quote = (text: string): string =>
  `"${Array.from(text, (character) => quotes[character] ?? (/[\ud800-\udfff]/u.test(character) ? "\ufffd" : character)).join("")}"`;

/** The extended string functions, in the version that Kubernetes offers. */
export const strings: readonly Overload[] = [
  define("charAt", "string.(int) string", charAt),
  define("indexOf", "string.(string) int", indexOf, listTraversal),
  define("indexOf", "string.(string, int) int", indexOf, listTraversal),
  define("lastIndexOf", "string.(string) int", lastIndexOf, listTraversal),
  define("lastIndexOf", "string.(string, int) int", lastIndexOf, listTraversal),
  define("lowerAscii", "string.() string", lower, traversal(1, 0, true)),
  define("upperAscii", "string.() string", upper, traversal(1, 0, true)),
  define("trim", "string.() string", trim, traversal(1, 0, true)),
  define("substring", "string.(int) string", substring, traversal(1, 0, true)),
  define("substring", "string.(int, int) string", substring, traversal(1, 0, true)),
  define("replace", "string.(string, string) string", replace, replacement),
  define("replace", "string.(string, string, int) string", replace, replacement),
  define("split", "string.(string) list(string)", split, splitting),
  define("split", "string.(string, int) list(string)", split, splitting),
  define("join", "list(string).() string", joinList, joining),
  define("join", "list(string).(string) string", joinList, joining),
  define("format", "string.(list(dyn)) string", (text: string, args: ListValue) => format(text, args), traversal()),
  define("strings.quote", "(string) string", quote, traversal()),
];
