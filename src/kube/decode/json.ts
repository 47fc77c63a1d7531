import { setOwn } from "../values/equal.ts";

/** A text is not JSON. The message is in the words of Go's `encoding/json`. */
export class JsonSyntaxError extends Error {
  override name = "JsonSyntaxError";
}

export interface ParsedJson {
  readonly value: unknown;
  /** What strict decoding says of fields that a client wrote twice, the last of which counts: `duplicate field "spec.ports[0].port"`. */
  readonly duplicates: readonly string[];
}

/** Nesting that is read at most: deep enough for every object, and for all that walks one by recursion. */
const maxDepth = 1000;
const tooDeep = "exceeded max depth";

/**
 * Reads JSON. The engine's own parser does the work; the careful one below runs only when
 * something is wrong, to say what.
 */
export function parseJson(text: string): ParsedJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return parseCarefully(text);
  }
  const read = keysIn(text) === measure(value).keys ? { value, duplicates: [] } : parseCarefully(text);
  return halfCharacter.test(text) ? { ...read, value: wellFormed(read.value) } : read;
}

/** An escape that may be one half of a character beyond the basic plane. */
const halfCharacter = /\\u[dD][89a-fA-F]/;

const utf8 = (text: string): string => Buffer.from(text).toString();

/** A half without its other half is U+FFFD, as Go reads it: nothing that is no Unicode gets into an object. */
function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return utf8(value);
  if (Array.isArray(value)) return value.map(wellFormed);
  if (typeof value !== "object" || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) setOwn(result, utf8(key), wellFormed(field));
  return result;
}

/** How many `"key":` a text has that is known to be JSON. */
function keysIn(text: string): number {
  let count = 0;
  for (let i = text.indexOf('"'); i >= 0; i = text.indexOf('"', i)) {
    let end = text.indexOf('"', i + 1);
    while (isEscaped(text, end)) end = text.indexOf('"', end + 1);
    i = end + 1;
    while (isSpace(text.charCodeAt(i))) i++;
    if (text[i] === ":") count++;
  }
  return count;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text[at - 1 - slashes] === "\\") slashes++;
  return slashes % 2 === 1;
}

/** How many keys all objects in a value have. Throws JsonSyntaxError when it is nested too deep. */
export function measure(root: unknown): { keys: number } {
  let keys = 0;
  // Level by level, so that the depth of the value costs no stack.
  let level: object[] = typeof root === "object" && root !== null ? [root] : [];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > maxDepth) throw new JsonSyntaxError(tooDeep);
    const next: object[] = [];
    for (const value of level) {
      const children: unknown[] = Object.values(value);
      if (!Array.isArray(value)) keys += children.length;
      for (const child of children) if (typeof child === "object" && child !== null) next.push(child);
    }
    level = next;
  }
  return { keys };
}

const isSpace = (code: number) => code === 32 || code === 10 || code === 13 || code === 9;

interface Frame {
  readonly container: unknown[] | Record<string, unknown>;
  /** The key whose value is being read. */
  key: string;
}

/** Reads JSON without recursion, naming duplicates and, in Go's words, the first fault. */
function parseCarefully(text: string): ParsedJson {
  const duplicates = new Set<string>();
  const stack: Frame[] = [];
  let at = 0;

  const fail = (where: string): never => {
    if (at >= text.length) throw new JsonSyntaxError("unexpected end of JSON input");
    throw new JsonSyntaxError(`invalid character ${quoteCharacter(text.slice(at))} ${where}`);
  };
  const skipSpace = () => {
    while (isSpace(text.charCodeAt(at))) at++;
  };
  const path = () => {
    const parts = stack.map(({ container, key }) => (Array.isArray(container) ? `[${container.length}]` : `.${key}`));
    return parts.join("").replace(/^\./, "");
  };

  const readString = (): string => {
    const start = at++;
    for (; text[at] !== '"'; at++) {
      if (at >= text.length || text.charCodeAt(at) < 32) fail("in string literal");
      if (text[at] !== "\\") continue;
      at++;
      if (text[at] === "u") {
        for (let i = 0; i < 4; i++) {
          at++;
          if (!/[0-9a-fA-F]/.test(text[at] ?? "")) fail("in \\u hexadecimal character escape");
        }
      } else if (!'"\\/bfnrt'.includes(text[at] ?? "x")) fail("in string escape code");
    }
    at++;
    return JSON.parse(text.slice(start, at)) as string;
  };
  const readKey = (frame: Frame) => {
    if (text[at] !== '"') fail("looking for beginning of object key string");
    frame.key = readString();
    if (Object.hasOwn(frame.container, frame.key)) duplicates.add(`duplicate field ${JSON.stringify(path())}`);
    skipSpace();
    if (text[at] !== ":") fail("after object key");
    at++;
  };
  const readScalar = (): unknown => {
    if (text[at] === '"') return readString();
    for (const [word, value] of [
      ["true", true],
      ["false", false],
      ["null", null],
    ] as const) {
      if (text[at] !== word[0]) continue;
      for (let i = 1; i < word.length; i++) {
        at++;
        if (text[at] !== word[i]) fail(`in literal ${word} (expecting ${quoteCharacter(word[i] ?? "")})`);
      }
      at++;
      return value;
    }
    return readNumber();
  };
  const readNumber = (): number => {
    const start = at;
    const digits = (where: string) => {
      if (!isDigit(text[at])) fail(where);
      while (isDigit(text[at])) at++;
    };
    if (text[at] === "-") {
      at++;
      if (!isDigit(text[at])) fail("in numeric literal");
    } else if (!isDigit(text[at])) fail("looking for beginning of value");
    if (text[at] === "0") at++;
    else digits("in numeric literal");
    if (text[at] === ".") {
      at++;
      digits("after decimal point in numeric literal");
    }
    if (text[at] === "e" || text[at] === "E") {
      at++;
      if (text[at] === "+" || text[at] === "-") at++;
      digits("in exponent of numeric literal");
    }
    return Number(text.slice(start, at));
  };

  for (;;) {
    // A value begins here.
    skipSpace();
    let value: unknown;
    if (text[at] === "{" || text[at] === "[") {
      const container = text[at] === "{" ? {} : [];
      at++;
      skipSpace();
      if (text[at] !== (Array.isArray(container) ? "]" : "}")) {
        if (stack.length >= maxDepth) throw new JsonSyntaxError(tooDeep);
        const frame: Frame = { container, key: "" };
        stack.push(frame);
        if (!Array.isArray(container)) readKey(frame);
        continue;
      }
      at++;
      value = container;
    } else value = readScalar();

    // A value ended: put it where it belongs, and close all that ends with it.
    for (;;) {
      const frame = stack.at(-1);
      skipSpace();
      if (!frame) {
        if (at < text.length) fail("after top-level value");
        return { value, duplicates: [...duplicates] };
      }
      const { container } = frame;
      const inArray = Array.isArray(container);
      if (inArray) container.push(value);
      else setOwn(container, frame.key, value);
      if (text[at] === ",") {
        at++;
        skipSpace();
        if (!inArray) readKey(frame);
        break;
      }
      if (text[at] !== (inArray ? "]" : "}")) fail(inArray ? "after array element" : "after object key:value pair");
      at++;
      stack.pop();
      value = container;
    }
  }
}

const isDigit = (character: string | undefined) => character !== undefined && character >= "0" && character <= "9";

function quoteCharacter(text: string): string {
  const character = String.fromCodePoint(text.codePointAt(0) ?? 0);
  if (character === "'") return "'\\''";
  if (character === '"') return "'\"'";
  const known: Record<string, string> = {
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
  };
  const code = character.codePointAt(0) ?? 0;
  const shown =
    known[character] ?? (code < 32 || code === 127 ? `\\x${code.toString(16).padStart(2, "0")}` : character);
  return `'${shown}'`;
}
