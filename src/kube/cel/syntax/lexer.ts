import { uintOf, type Value } from "../values.ts";
import { SyntaxFault } from "./errors.ts";

export type TokenType = "end" | "ident" | "literal" | "keyword" | "punct";

export interface Token {
  readonly type: TokenType;
  readonly at: number;
  readonly text: string;
  readonly value?: Value;
}

const keywords: ReadonlySet<string> = new Set(["in", "true", "false", "null"]);
const punctuation = ["==", "!=", "<=", ">=", "&&", "||", ...Array.from("+-*/%<>!()[]{}.,:?")];
const simpleEscapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "`": "`",
  "?": "?",
};
const maxInt = 2n ** 63n;
const maxUint = 2n ** 64n - 1n;

/** Splits an expression into tokens; the last has type `end`. Throws SyntaxFault. */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < source.length) {
    const space = /[\t\n\f\r ]+|\/\/[^\n]*/y;
    space.lastIndex = at;
    if (space.test(source)) {
      at = space.lastIndex;
      continue;
    }
    const token = string(source, at) ?? number(source, at) ?? word(source, at) ?? punct(source, at);
    if (!token) throw new SyntaxFault(at, `Syntax error: token recognition error at: '${source[at]}'`);
    tokens.push(token);
    at += token.text.length;
  }
  tokens.push({ type: "end", at: source.length, text: "<EOF>" });
  return tokens;
}

function word(source: string, at: number): Token | undefined {
  const text = match(/[A-Za-z_][A-Za-z0-9_]*/y, source, at)?.[0];
  if (text === undefined) return undefined;
  if (!keywords.has(text)) return { type: "ident", at, text };
  if (text === "in") return { type: "keyword", at, text };
  return { type: "literal", at, text, value: text === "null" ? null : text === "true" };
}

function punct(source: string, at: number): Token | undefined {
  const text = punctuation.find((one) => source.startsWith(one, at));
  return text === undefined ? undefined : { type: "punct", at, text };
}

function number(source: string, at: number): Token | undefined {
  const text = match(
    /0x[0-9a-fA-F]+[uU]?|[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[uU]?/y,
    source,
    at,
  )?.[0];
  if (text === undefined) return undefined;
  if (text.startsWith("0x") || /^[0-9]+[uU]?$/.test(text)) {
    const unsigned = /[uU]$/.test(text);
    const value = BigInt(unsigned ? text.slice(0, -1) : text);
    // 2^63 itself is a number only behind a minus: the parser looks.
    if (unsigned ? value > maxUint : value > maxInt)
      throw new SyntaxFault(at, `invalid ${unsigned ? "uint" : "int"} literal`);
    return { type: "literal", at, text, value: unsigned ? uintOf(value) : value };
  }
  const value = Number(text);
  if (!Number.isFinite(value)) throw new SyntaxFault(at, "invalid double literal");
  return { type: "literal", at, text, value };
}

function match(pattern: RegExp, source: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(source);
}

function string(source: string, at: number): Token | undefined {
  const prefix = match(/(?:[rR][bB]?|[bB][rR]?)?("""|'''|"|')/y, source, at);
  const quote = prefix?.[1];
  if (!prefix || quote === undefined) return undefined;
  const letters = prefix[0].slice(0, -quote.length).toLowerCase();
  const raw = letters.includes("r");
  const start = at + prefix[0].length;
  let end = start;
  for (; !source.startsWith(quote, end); end++) {
    if (end >= source.length || (quote.length === 1 && (source[end] === "\n" || source[end] === "\r")))
      throw new SyntaxFault(at, `Syntax error: token recognition error at: '${source.slice(at, end)}'`);
    if (!raw && source[end] === "\\") end++;
  }
  const body = source.slice(start, end);
  const text = source.slice(at, end + quote.length);
  if (!letters.includes("b")) return { type: "literal", at, text, value: raw ? body : unescaped(body, at) };
  return { type: "literal", at, text, value: raw ? new TextEncoder().encode(body) : unescapedBytes(body, at) };
}

const escape =
  /\\(?:[abfnrtv\\'"`?]|x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})|\\/g;

function codeOf(sequence: string, at: number): number {
  const kind = sequence[1] ?? "";
  const code = /[0-7]/.test(kind) ? Number.parseInt(sequence.slice(1), 8) : Number.parseInt(sequence.slice(2), 16);
  if (sequence.length === 1 || Number.isNaN(code) || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
    throw new SyntaxFault(at, "unable to unescape string");
  return code;
}

function unescaped(body: string, at: number): string {
  if (!body.includes("\\")) return body;
  return body.replace(escape, (sequence) => {
    const simple = sequence.length === 2 ? simpleEscapes[sequence[1] ?? ""] : undefined;
    return simple ?? String.fromCodePoint(codeOf(sequence, at));
  });
}

/** In bytes, `\x` and octal escapes are bytes, not characters. */
function unescapedBytes(body: string, at: number): Uint8Array {
  const encoder = new TextEncoder();
  const parts: number[] = [];
  let last = 0;
  for (const found of body.matchAll(escape)) {
    parts.push(...encoder.encode(body.slice(last, found.index)));
    const sequence = found[0];
    const simple = sequence.length === 2 ? simpleEscapes[sequence[1] ?? ""] : undefined;
    if (simple !== undefined) parts.push(simple.charCodeAt(0));
    else {
      if (/^\\[uU]/.test(sequence)) throw new SyntaxFault(at, "unable to unescape bytes");
      parts.push(codeOf(sequence, at));
    }
    last = found.index + sequence.length;
  }
  parts.push(...encoder.encode(body.slice(last)));
  return Uint8Array.from(parts);
}
