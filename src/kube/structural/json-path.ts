import { isObject } from "../values/equal.ts";
import { parseJson } from "../decode/json.ts";

/**
 * A path into an object, in the part of kubectl's JSONPath that custom resources use: fields `.a.b`, `['a.b']`, indexes `[0]`, `[-1]`, slices
 * `[0:2]`, `[*]`, `.*`, `..a`, unions `['a','b']` and filters `[?(@.type=="Ready")]`. Missing parts give no value.
 */
export interface JsonPath {
  readonly source: string;
  /** The values that the path leads to, in order. */
  find(object: unknown): unknown[];
}

/** A path that is not well formed. */
export class JsonPathError extends Error {
  override name = "JsonPathError";
}

/** What is left of the values that one search may look at. */
interface Walk {
  left: number;
}

type Step = (values: readonly unknown[], walk: Walk) => unknown[];

/** Values that one search looks at: a short path such as `........` stands for more of them than there is time. What is beyond is not found. */
const mostLooks = 100_000;

/** One step: from each value to those that `next` gives. */
function from(next: (value: unknown, walk: Walk) => Iterable<unknown>): Step {
  return (values, walk) => {
    const found: unknown[] = [];
    for (const value of values) {
      for (const one of next(value, walk)) {
        if (walk.left-- <= 0) return found;
        found.push(one);
      }
      if (walk.left-- <= 0) return found;
    }
    return found;
  };
}

function* filtered(list: unknown, walk: Walk, holds: (item: unknown) => boolean): Generator<unknown> {
  if (!Array.isArray(list)) return;
  for (const item of list as readonly unknown[]) {
    if (walk.left-- <= 0) return;
    if (holds(item)) yield item;
  }
}

const maxLength = 4096;

/** Compiles `.spec.replicas`. Throws JsonPathError. */
export function compileJsonPath(source: string): JsonPath {
  if (source.length > maxLength) throw new JsonPathError(`is longer than ${maxLength} characters`);
  const steps = parse(source);
  return { source, find: (object) => run(steps, object, { left: mostLooks }) };
}

const run = (steps: readonly Step[], object: unknown, walk: Walk): unknown[] =>
  steps.reduce<unknown[]>((values, step) => step(values, walk), [object]);

function parse(text: string): Step[] {
  const steps: Step[] = [];
  let at = text.startsWith("$") ? 1 : 0;
  while (at < text.length) {
    if (text[at] === "[") {
      const end = closing(text, at);
      steps.push(bracket(text.slice(at + 1, end).trim()));
      at = end + 1;
    } else if (text[at] === ".") {
      const deep = text[at + 1] === ".";
      at += deep ? 2 : 1;
      if (deep) steps.push(from(descendants));
      const { name, next } = fieldName(text, at);
      if (name !== "") steps.push(name === "*" ? everything : field(name));
      at = next;
    } else throw new JsonPathError(`unrecognized character in action: ${JSON.stringify(text.slice(at, at + 1))}`);
  }
  return steps;
}

/** A name up to the next `.` or `[`; a backslash takes what follows as it is. */
function fieldName(text: string, from: number): { name: string; next: number } {
  let name = "";
  let at = from;
  for (; at < text.length && text[at] !== "." && text[at] !== "["; at++) {
    if (text[at] === "\\") at += 1;
    name += text[at] ?? "";
  }
  return { name, next: at };
}

/** The place of the bracket that closes the one at `from`; quoted text is passed over. */
function closing(text: string, from: number): number {
  let depth = 0;
  let quote = "";
  for (let at = from; at < text.length; at++) {
    const char = text.charAt(at);
    if (quote) {
      if (char === "\\") at += 1;
      else if (char === quote) quote = "";
    } else if (char === "'" || char === '"') quote = char;
    else if (char === "[") depth += 1;
    else if (char === "]" && --depth === 0) return at;
  }
  throw new JsonPathError("unterminated array");
}

const everything: Step = from((value) =>
  Array.isArray(value) ? (value as readonly unknown[]) : isObject(value) ? Object.values(value) : [],
);

const field = (name: string): Step =>
  from((value) => (isObject(value) && Object.hasOwn(value, name) && value[name] !== undefined ? [value[name]] : []));

function* descendants(value: unknown): Generator<unknown> {
  yield value;
  if (Array.isArray(value)) for (const item of value) yield* descendants(item);
  else if (isObject(value)) for (const item of Object.values(value)) yield* descendants(item);
}

function bracket(inside: string): Step {
  if (inside === "*") return everything;
  if (inside.startsWith("?(") && inside.endsWith(")")) return filter(inside.slice(2, -1).trim());
  const names = quotedNames(inside);
  if (names) return (values, walk) => names.flatMap((name) => field(name)(values, walk));
  if (/^-?\d+(\s*,\s*-?\d+)*$/.test(inside)) {
    const places = inside.split(",").map(Number);
    return from((list) =>
      Array.isArray(list) ? places.flatMap((place) => (list as readonly unknown[]).slice(place).slice(0, 1)) : [],
    );
  }
  const slice = /^(-?\d+)?\s*:\s*(-?\d+)?(?:\s*:\s*(\d+))?$/.exec(inside);
  if (!slice) throw new JsonPathError(`invalid array index ${inside}`);
  const [, start, end, step] = slice;
  const every = Number(step ?? 1) || 1;
  return from((list) =>
    Array.isArray(list)
      ? (list as readonly unknown[])
          .slice(Number(start ?? 0), end === undefined ? undefined : Number(end))
          .filter((_, i) => i % every === 0)
      : [],
  );
}

/** `'a','b'`; undefined when that is not what it is. */
function quotedNames(text: string): string[] | undefined {
  const one = /\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*(,|$)/y;
  const names: string[] = [];
  while (one.lastIndex < text.length) {
    const match = one.exec(text);
    if (!match) return undefined;
    names.push((match[1] ?? match[2] ?? "").replace(/\\(.)/g, "$1"));
    if (match[3] === "") break;
  }
  return names.length > 0 ? names : undefined;
}

type Compare = (a: unknown, b: unknown) => boolean;
const ordered =
  (holds: (a: number | string, b: number | string) => boolean): Compare =>
  (a, b) =>
    (typeof a === "number" && typeof b === "number") || (typeof a === "string" && typeof b === "string")
      ? holds(a, b)
      : false;
const comparisons: Readonly<Record<string, Compare>> = {
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": ordered((a, b) => a < b),
  "<=": ordered((a, b) => a <= b),
  ">": ordered((a, b) => a > b),
  ">=": ordered((a, b) => a >= b),
};

/** `@.type=="Ready"`, or `@.name` alone: the items that have it. */
function filter(text: string): Step {
  const match = /^(.*?)\s*(==|!=|<=|>=|<|>)\s*(.*)$/.exec(text);
  const left = operand(match ? (match[1] ?? "") : text);
  if (!match) return from((list, walk) => filtered(list, walk, (item) => left(item, walk).length > 0));
  const compare = comparisons[match[2] ?? ""];
  const right = operand(match[3] ?? "");
  return from((list, walk) =>
    filtered(list, walk, (item) => {
      const [a, b] = [left(item, walk), right(item, walk)];
      return a.length > 0 && b.length > 0 && compare?.(a[0], b[0]) === true;
    }),
  );
}

function operand(text: string): (item: unknown, walk: Walk) => unknown[] {
  if (text.startsWith("@")) {
    const steps = parse(text.slice(1));
    return (item, walk) => run(steps, item, walk);
  }
  const [quoted] = quotedNames(text) ?? [];
  if (quoted !== undefined) return () => [quoted];
  try {
    const { value } = parseJson(text);
    return () => [value];
  } catch {
    throw new JsonPathError(`unrecognized identifier ${text}`);
  }
}
