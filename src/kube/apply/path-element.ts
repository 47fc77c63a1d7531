import { isObject } from "../values/equal.ts";

/**
 * One step of a path, as `fieldsV1` writes it: `f:name` for a field, `k:{"name":"x"}` for the list item with these keys,
 * `v:"x"` for the item of a set, `i:0` for a position. The text is canonical: equal steps are equal texts.
 */
export type PathElement = string;

/** What is no set of fields. */
export class FieldSetError extends Error {
  override name = "FieldSetError";
}

export const fieldElement = (name: string): PathElement => `f:${name}`;
export const valueElement = (value: unknown): PathElement => `v:${goJson(value)}`;

/** `fields` in the order of their names. */
export function keyElement(fields: readonly (readonly [string, unknown])[]): PathElement {
  const parts = fields.map(([name, value]) => `${goJson(name)}:${goJson(value)}`);
  return `k:{${parts.join(",")}}`;
}

const escaped = /[<>&\u2028\u2029]/g;

/** JSON as Go's encoder writes it: what HTML means something by is escaped, and the keys of maps are in order. */
export function goJson(value: unknown): string {
  if (typeof value === "string") {
    const text = JSON.stringify(value);
    return text.search(escaped) < 0 ? text : text.replace(escaped, escape);
  }
  if (Array.isArray(value)) return `[${value.map(goJson).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? "null";
  const parts = Object.keys(value)
    .sort()
    .map((key) => `${goJson(key)}:${goJson(value[key])}`);
  return `{${parts.join(",")}}`;
}

const escape = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** The canonical text of a step that somebody wrote; undefined for a sort of step that is not known. Throws FieldSetError. */
export function readElement(text: string): PathElement | undefined {
  if (text.length < 2) throw new FieldSetError("key must be 2 characters long:");
  if (text[1] !== ":") throw new FieldSetError(`missing colon: ${text}`);
  const rest = text.slice(2);
  switch (text[0]) {
    case "f":
      return text;
    case "v":
      return valueElement(parsed(rest));
    case "k": {
      const fields = parsed(rest);
      if (!isObject(fields)) throw new FieldSetError(`expected an object of keys: ${text}`);
      return keyElement(Object.entries(fields).sort(([a], [b]) => compareText(a, b)));
    }
    case "i":
      if (!/^[+-]?\d+$/.test(rest))
        throw new FieldSetError(`strconv.Atoi: parsing ${JSON.stringify(rest)}: invalid syntax`);
      return `i:${Number(rest)}`;
    default:
      return undefined;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new FieldSetError(`no JSON in a path element: ${text}`);
  }
}

export const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const ranks: Readonly<Record<string, number>> = { f: 0, k: 1, v: 2, i: 3 };

/** The order in which upstream writes steps: fields, then keys, values and positions; numbers by what they count. */
export function compareElements(a: PathElement, b: PathElement): number {
  const [sortA, sortB] = [a.charAt(0), b.charAt(0)];
  if (sortA !== sortB) return (ranks[sortA] ?? 4) - (ranks[sortB] ?? 4);
  if (sortA === "f") return compareText(a, b);
  if (sortA === "i") return Number(a.slice(2)) - Number(b.slice(2));
  return compareValues(JSON.parse(a.slice(2)), JSON.parse(b.slice(2)));
}

const valueRank = (value: unknown): number => {
  if (typeof value === "number") return 0;
  if (typeof value === "string") return 1;
  if (typeof value === "boolean") return 2;
  if (Array.isArray(value)) return 3;
  return value === null ? 5 : 4;
};

function compareValues(a: unknown, b: unknown): number {
  const rank = valueRank(a) - valueRank(b);
  if (rank !== 0) return rank;
  if (typeof a === "number") return a - (b as number);
  if (typeof a === "string") return compareText(a, b as string);
  if (typeof a === "boolean") return Number(a) - Number(b);
  if (Array.isArray(a)) return compareLists(a, b as unknown[], compareValues);
  if (a === null) return 0;
  return compareLists(
    Object.entries(a as object),
    Object.entries(b as object),
    ([keyA, valueA], [keyB, valueB]) => compareText(keyA, keyB) || compareValues(valueA, valueB),
  );
}

function compareLists<T>(a: readonly T[], b: readonly T[], compare: (a: T, b: T) => number): number {
  for (const [i, item] of a.entries()) {
    if (i >= b.length) return 1;
    const order = compare(item, b[i] as T);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** Keys up to which it is quicker to sort in place than to ask the engine, which copies. */
const fewKeys = 12;

/** Sorts names in place by code units, as `sort` does, and gives them back. */
export function inOrder(keys: string[]): string[] {
  if (keys.length > fewKeys) return keys.sort();
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i] as string;
    let place = i;
    for (let before; place > 0 && (before = keys[place - 1] as string) > key; place--) keys[place] = before;
    keys[place] = key;
  }
  return keys;
}

/** Sorts steps in place, and gives them back. */
export function sortElements(elements: PathElement[]): PathElement[] {
  if (elements.length < 2) return elements;
  return elements.every((element) => element.startsWith("f:")) ? inOrder(elements) : elements.sort(compareElements);
}

/** A step as messages show it: `.spec`, `[name="x"]`, `[="x"]`, `[0]`. */
export function describeElement(element: PathElement): string {
  const rest = element.slice(2);
  switch (element.charAt(0)) {
    case "f":
      return `.${rest}`;
    case "k": {
      const fields = Object.entries(JSON.parse(rest) as object);
      return `[${fields.map(([name, value]) => `${name}=${describeValue(value)}`).join(",")}]`;
    }
    case "v":
      return `[=${describeValue(JSON.parse(rest))}]`;
    default:
      return `[${rest}]`;
  }
}

const describeValue = (value: unknown): string => JSON.stringify(value) ?? "null";

/** A path as messages show it: `.spec.containers[name="x"].image`. */
export const describePath = (path: readonly PathElement[]): string => path.map(describeElement).join("");
