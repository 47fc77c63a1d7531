import { describe, expect, it } from "vitest";
import { compileExpression, costLimits, dynamicValue, dyn, int, listOf, string } from "./index.ts";

/** Numbers that are the same in each run. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const atoms = [
  "self",
  "text",
  "list",
  "number",
  "1",
  "-1",
  "2u",
  "1.5",
  "'a😀'",
  "b'x'",
  "null",
  "true",
  "[]",
  "{}",
  "'^(a+)+$'",
  "9223372036854775807",
  "duration('1h')",
  "timestamp('2024-01-01T00:00:00Z')",
  "int",
  "optional.none()",
  "quantity('1k')",
  "ip('::1')",
];
const binary = ["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"];
const methods = [
  "size()",
  "matches('(a|b)*')",
  "contains('a')",
  "split('')",
  "join()",
  "map(x, x)",
  "filter(x, x == 1)",
  "all(x, x > 0)",
  "exists(i, v, i == v)",
  "exists_one(x, true)",
  "transformMap(k, v, k)",
  "substring(1)",
  "replace('a', 'bb')",
  "format([1])",
  "sum()",
  "max()",
  "isSorted()",
  "indexOf('a')",
  "getHours()",
  "hasValue()",
  "orValue(1)",
  "findAll('.')",
  "add(1)",
  "x",
  "?x",
  "upperAscii()",
];
const global = [
  "string",
  "int",
  "double",
  "bytes",
  "size",
  "type",
  "dyn",
  "has",
  "bool",
  "uint",
  "url",
  "semver",
  "isIP",
  "optional.of",
  "timestamp",
  "duration",
  "strings.quote",
];

/** An expression that is mostly well formed. */
function expressionOf(next: (below: number) => number, depth: number): string {
  const pick = (from: readonly string[]): string => from[next(from.length)] ?? "";
  const inner = (): string => expressionOf(next, depth - 1);
  if (depth === 0) return pick(atoms);
  switch (next(9)) {
    case 0:
    case 1:
      return `${inner()} ${pick(binary)} ${inner()}`;
    case 2:
      return `(${inner()}).${pick(methods)}`;
    case 3:
      return `${pick(global)}(${inner()})`;
    case 4:
      return `${inner()} ? ${inner()} : ${inner()}`;
    case 5:
      return `[dyn(${inner()}), ${inner()}]`;
    case 6:
      return `{${inner()}: ${inner()}}`;
    case 7:
      return `(${inner()})[${inner()}]`;
    default:
      return `${pick(["!", "-"])}${inner()}`;
  }
}

const variables = { self: dyn, text: string, list: listOf(int), number: int };
const bindings = {
  self: dynamicValue({ a: [1, "x", null, { b: true }], b: "aaaaaaaaaaaaaaaaaaaaaaaa!" }),
  text: "some text",
  list: dynamicValue([1, 2, 3]),
  number: 3n,
};

describe("whatever an expression is", () => {
  it("it is refused or evaluated, within its costs", () => {
    const next = random(7);
    let evaluated = 0;
    for (let i = 0; i < 6000; i++) {
      const compiled = compileExpression(expressionOf(next, 1 + next(4)), { variables });
      if (!compiled.ok) continue;
      evaluated++;
      const estimated = compiled.estimate();
      expect(estimated.min).toBeLessThanOrEqual(estimated.max);
      const result = compiled.evaluate(bindings);
      expect(result.cost).toBeLessThan(costLimits.perCall * 2);
    }
    expect(evaluated).toBeGreaterThan(300);
  });

  it("texts of any characters are refused or evaluated", () => {
    const next = random(11);
    const pieces = [
      ...Array.from("()[]{}.,:?!-+*/%<>=&|'\"`\\\n\t "),
      "'''",
      '"""',
      "r'",
      "b'",
      "0x",
      "1e",
      "1.",
      "in",
      "self",
      "has(",
      "//",
      "\\u00",
      "\ud800",
      "é",
      ".all(x,",
      "?.",
    ];
    for (let i = 0; i < 6000; i++) {
      const source = Array.from({ length: next(20) }, () => pieces[next(pieces.length)]).join("");
      const compiled = compileExpression(source, { variables });
      if (compiled.ok) compiled.evaluate(bindings);
      else expect(compiled.message).toMatch(/^ERROR: <input>:\d+:\d+: /);
    }
  });

  it.each([
    ["parentheses", `${"(".repeat(5000)}1${")".repeat(5000)}`],
    ["lists", `${"[".repeat(5000)}${"]".repeat(5000)}`],
    ["members", `self${".a".repeat(5000)}`],
    ["sums", `1${"+1".repeat(5000)}`],
    ["conditions", `${"true?".repeat(5000)}1`],
    ["length", `'${"a".repeat(200_000)}'`],
  ])("too deep or too long is refused: %s", (_, source) => {
    const compiled = compileExpression(source, { variables });
    expect(compiled.ok ? "ok" : compiled.message.split("\n")[0]).toMatch(/limit|Syntax error/);
  });

  it("long chains of && and || are taken", () => {
    const compiled = compileExpression(Array(2000).fill("number == 3").join(" && "), { variables });
    expect(compiled.ok && compiled.evaluate(bindings).value).toBe(true);
  });

  it("texts that double do not grow without end", () => {
    const source =
      "[1,2,3,4,5,6,7,8,9].map(x, 'aaaaaaaaaa').map(x, x + x).map(x, x.replace('', x)).map(x, x.replace('', x)).map(x, x.replace('', x)).map(x, x.replace('', x))";
    const compiled = compileExpression(source, { variables });
    if (!compiled.ok) throw new Error(compiled.message);
    const result = compiled.evaluate(bindings);
    expect(result.costExceeded ?? result.error).toBeDefined();
  });
});
