import { describe, expect, it } from "vitest";
import { randomFrom } from "../random-value.ts";
import {
  difference,
  hasPath,
  include,
  intersection,
  isEmpty,
  pathsOf,
  readFieldSet,
  recursiveDifference,
  setOf,
  union,
  type FieldSet,
} from "./field-set.ts";
import { compareElements, describePath, FieldSetError, inOrder, sortElements } from "./path-element.ts";

const set = (json: string): FieldSet => readFieldSet(JSON.parse(json));
const text = (of: FieldSet): string => JSON.stringify(of);
const shown = (of: FieldSet): string[] => pathsOf(of).map(describePath);

describe("path elements", () => {
  it("names are in order of their code units, few or many", () => {
    const random = randomFrom(11);
    for (let count = 0; count < 30; count++) {
      const names = Array.from(
        { length: count },
        () => `${"aBz-\u00e4\ud83d\ude00"[Math.floor(random() * 7)]}${Math.floor(random() * 20)}`,
      );
      const expected = names.toSorted();
      expect(inOrder(names)).toEqual(expected);
      expect(inOrder(names)).toBe(names);
    }
  });

  it("are in order: fields, keys, values, positions; numbers by what they count", () => {
    const elements = [
      'v:"b"',
      'k:{"port":443}',
      "f:b",
      "i:10",
      'k:{"port":80}',
      "v:1",
      "i:2",
      "f:a",
      "v:true",
      'v:"a"',
    ];
    expect(sortElements(elements)).toEqual([
      "f:a",
      "f:b",
      'k:{"port":80}',
      'k:{"port":443}',
      "v:1",
      'v:"a"',
      'v:"b"',
      "v:true",
      "i:2",
      "i:10",
    ]);
  });

  it("with several keys are compared key by key, and a shorter list of keys comes first", () => {
    const a = 'k:{"containerPort":80,"protocol":"TCP"}';
    const b = 'k:{"containerPort":80,"protocol":"UDP"}';
    expect(compareElements(a, b)).toBeLessThan(0);
    expect(compareElements('k:{"a":1}', 'k:{"a":1,"b":1}')).toBeLessThan(0);
    expect(compareElements('k:{"b":1}', 'k:{"a":1,"b":1}')).toBeGreaterThan(0);
    expect(compareElements(a, a)).toBe(0);
  });

  it("are shown as in messages", () => {
    const path = ["f:spec", 'k:{"name":"a","port":80}', 'v:"x/y"', "v:true", "i:3", "f:a.b"];
    expect(describePath(path)).toBe('.spec[name="a",port=80][="x/y"][=true][3].a.b');
  });
});

describe("a set that is read", () => {
  it("is in canonical order and form", () => {
    const read = set('{"f:b":{},"f:a":{".":{}},"f:l":{"k:{\\"port\\": 443, \\"a\\": 1}":{"f:x":{},".":{}}}}');
    expect(text(read)).toBe('{"f:a":{},"f:b":{},"f:l":{"k:{\\"a\\":1,\\"port\\":443}":{".":{},"f:x":{}}}}');
  });

  it("loses elements of a sort that is not known", () => {
    expect(text(set('{"f:a":{"z:b":{}},"z:c":{}}'))).toBe('{"f:a":{}}');
  });

  it("takes null for a member, and nothing for the empty set", () => {
    expect(text(set('{"f:a":null}'))).toBe('{"f:a":{}}');
    expect(isEmpty(set("{}"))).toBe(true);
  });

  it.each([
    ['{"f":{}}', "key must be 2 characters long:"],
    ['{"abc":{}}', "missing colon: abc"],
    ['{"i:x":{}}', 'strconv.Atoi: parsing "x": invalid syntax'],
    ['{"k:{":{}}', "no JSON in a path element: {"],
    ['{"k:[]":{}}', "expected an object of keys: k:[]"],
    ['{"v:":{}}', "no JSON in a path element: "],
    ['{"f:a":1}', "ReadMapCB: expect { or n"],
    ["[]", "ReadMapCB: expect { or n"],
  ])("%s is none", (json, message) => {
    expect(() => set(json)).toThrow(new FieldSetError(message));
  });

  it("is refused when it is too deep", () => {
    const deep = `${'{"f:a":'.repeat(600)}{}${"}".repeat(600)}`;
    expect(() => set(deep)).toThrow("exceeded max depth");
  });
});

describe("sets", () => {
  const a = set('{"f:m":{".":{},"f:x":{},"f:y":{}},"f:n":{}}');
  const b = set('{"f:m":{"f:y":{},"f:z":{}},"f:o":{}}');

  it.each<[string, FieldSet, string]>([
    ["union", union(a, b), '{"f:m":{".":{},"f:x":{},"f:y":{},"f:z":{}},"f:n":{},"f:o":{}}'],
    ["union, the other way", union(b, a), '{"f:m":{".":{},"f:x":{},"f:y":{},"f:z":{}},"f:n":{},"f:o":{}}'],
    ["intersection", intersection(a, b), '{"f:m":{"f:y":{}}}'],
    ["difference", difference(a, b), '{"f:m":{".":{},"f:x":{}},"f:n":{}}'],
    [
      "difference of a parent leaves its children",
      difference(a, set('{"f:m":{}}')),
      '{"f:m":{"f:x":{},"f:y":{}},"f:n":{}}',
    ],
    ["recursive difference", recursiveDifference(a, set('{"f:m":{}}')), '{"f:n":{}}'],
    [
      "recursive difference below",
      recursiveDifference(a, set('{"f:m":{"f:x":{}}}')),
      '{"f:m":{".":{},"f:y":{}},"f:n":{}}',
    ],
    ["pattern", include(a, { "f:m": { "*": {} } }), '{"f:m":{".":{},"f:x":{},"f:y":{}}}'],
  ])("%s", (_, result, expected) => {
    expect(text(result)).toBe(expected);
  });

  it("list members before what is below them", () => {
    expect(shown(a)).toEqual([".m", ".n", ".m.x", ".m.y"]);
    expect(hasPath(a, ["f:m", "f:x"])).toBe(true);
    expect(hasPath(b, ["f:m"])).toBe(false);
    expect(text(setOf(["f:a", "f:b"], ["f:a"]))).toBe('{"f:a":{".":{},"f:b":{}}}');
  });
});

describe("any sets", () => {
  const random = randomFrom(41);
  const names = ["f:a", "f:b", "f:c", 'k:{"n":1}', 'k:{"n":10}', 'v:"s"', "i:2"];
  const any = (depth = 0): Record<string, unknown> =>
    Object.fromEntries(
      [...names, ...(depth > 0 ? ["."] : [])]
        .filter(() => random() < 0.45)
        .map((name) => [name, name === "." || depth > 2 ? {} : any(depth + 1)]),
    );
  const pairs = Array.from({ length: 300 }, () => [readFieldSet(any()), readFieldSet(any())] as const);
  const members = (of: FieldSet) => new Set(shown(of));

  it.each(pairs.map((pair, i) => [i, ...pair] as const))("%i keep the laws of sets", (_, a, b) => {
    const [inA, inB] = [members(a), members(b)];
    expect(text(readFieldSet(JSON.parse(text(a))))).toBe(text(a));
    expect(members(union(a, b))).toEqual(new Set([...inA, ...inB]));
    expect(text(union(a, b))).toBe(text(union(b, a)));
    expect(members(intersection(a, b))).toEqual(new Set([...inA].filter((path) => inB.has(path))));
    expect(members(difference(a, b))).toEqual(new Set([...inA].filter((path) => !inB.has(path))));
    expect(text(union(difference(a, b), intersection(a, b)))).toBe(text(a));
    const kept = pathsOf(a).filter((path) => !path.some((_element, i) => hasPath(b, path.slice(0, i + 1))));
    expect(members(recursiveDifference(a, b))).toEqual(new Set(kept.map(describePath)));
    for (const result of [union(a, b), intersection(a, b), difference(a, b), recursiveDifference(a, b)])
      expect(text(readFieldSet(JSON.parse(text(result))))).toBe(text(result));
  });
});

it("any JSON is a set or refused", () => {
  const random = randomFrom(43);
  const pieces = [
    "f:",
    "k:",
    "v:",
    "i:",
    "x:",
    ".",
    "{",
    "}",
    '"a"',
    ":",
    "1",
    "-",
    "\u2028",
    "<",
    "null",
    "é",
    "\ud800",
  ];
  const key = () =>
    Array.from({ length: Math.floor(random() * 5) }, () => pieces[Math.floor(random() * pieces.length)]).join("");
  const any = (depth: number): unknown => {
    const kind = random();
    if (depth > 4 || kind < 0.2) return [null, 1, "a", [], true][Math.floor(random() * 5)];
    return Object.fromEntries(Array.from({ length: Math.floor(random() * 4) }, () => [key(), any(depth + 1)]));
  };
  let read = 0;
  for (let i = 0; i < 20_000; i++) {
    try {
      const found = readFieldSet(any(0));
      expect(text(readFieldSet(JSON.parse(text(found))))).toBe(text(found));
      read += 1;
    } catch (error) {
      expect(error).toBeInstanceOf(FieldSetError);
    }
  }
  expect(read).toBeGreaterThan(500);
});
