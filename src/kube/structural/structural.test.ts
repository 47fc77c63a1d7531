import { describe, expect, it } from "vitest";
import { describeFault } from "../field-error.ts";
import { validateStructural } from "./check.ts";
import { applyDefaults, dropNulls } from "./defaults.ts";
import { formatOf } from "./formats.ts";
import { compileJsonPath } from "./json-path.ts";
import type { JsonSchema } from "./json-schema.ts";
import { validateListTypes } from "./list-types.ts";
import { validateEmbedded } from "./metadata.ts";
import { child } from "./path.ts";
import { prune } from "./prune.ts";
import { validateValue } from "./validate.ts";

const faults = (value: unknown, schema: JsonSchema, old?: unknown): string[] =>
  validateValue(value, schema, child(undefined, "a"), old === undefined ? undefined : { value: old }).map(
    describeFault,
  );

describe("validation", () => {
  it.each<[unknown, JsonSchema, string[]]>([
    [1, { type: "string" }, ['a: Invalid value: "integer": a in body must be of type string: "integer"']],
    [null, { type: "string" }, ['a: Invalid value: "null": a in body must be of type string: "null"']],
    [null, { type: "string", nullable: true }, []],
    [1.5, { type: "integer" }, ['a: Invalid value: "number": a in body must be of type integer: "number"']],
    [2, { type: "number" }, []],
    [
      true,
      { "x-kubernetes-int-or-string": true },
      ['a: Invalid value: "boolean": a in body must be of type integer,string: "boolean"'],
    ],
    ["80%", { "x-kubernetes-int-or-string": true }, []],
    ["ä", { type: "string", minLength: 2 }, ['a: Invalid value: "ä": a in body should be at least 2 chars long']],
    ["😀😀", { type: "string", maxLength: 2 }, []],
    [
      5,
      { type: "integer", maximum: 5, exclusiveMaximum: true },
      ["a: Invalid value: 5: a in body should be less than 5"],
    ],
    [0.3, { type: "number", multipleOf: 0.1 }, []],
    [7, { type: "integer", multipleOf: 2 }, ["a: Invalid value: 7: a in body should be a multiple of 2"]],
    [[1, 2], { type: "array", maxItems: 1 }, ["a: Too many: 2: must have at most 1 item"]],
    [[], { type: "array", minItems: 1 }, ["a: Invalid value: 0: a in body should have at least 1 items"]],
    [{}, { type: "object", minProperties: 1 }, ["a: Invalid value: 0: a in body should have at least 1 properties"]],
    [
      { b: [{}] },
      { type: "object", properties: { b: { type: "array", items: { type: "object", required: ["c"] } } } },
      ["a.b[0].c: Required value"],
    ],
    ["x", { type: "string", enum: ["b", "c"] }, ['a: Unsupported value: "x": supported values: "b", "c"']],
    ["FOO", { type: "string", pattern: "(?i)^foo$" }, []],
    [
      "1.2.3",
      { type: "string", format: "ipv4" },
      ['a: Invalid value: "1.2.3": a in body must be of type ipv4: "1.2.3"'],
    ],
    ["anything", { type: "string", format: "unheard-of" }, []],
    [
      { b: 1, c: 1 },
      {
        type: "object",
        properties: { b: { type: "integer" }, c: { type: "integer" } },
        oneOf: [{ required: ["b"] }, { required: ["c"] }],
      },
      ['<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
    ],
    [
      "x",
      { type: "string", not: { enum: ["x"] } },
      ['<nil>: Invalid value: "": "a" must not validate the schema (not)'],
    ],
    [
      3,
      { type: "integer", allOf: [{ minimum: 5 }, { maximum: 9 }] },
      [
        "a: Invalid value: 3: a in body should be greater than or equal to 5",
        '<nil>: Invalid value: "": "a" must validate all the schemas (allOf)',
      ],
    ],
  ])("of %j by %j", (value, schema, expected) => {
    expect(faults(value, schema)).toEqual(expected);
  });

  it("does not tell of faults in what has not changed", () => {
    const item: JsonSchema = {
      type: "object",
      properties: { name: { type: "string" }, n: { type: "integer", maximum: 1 } },
    };
    const map: JsonSchema = {
      type: "array",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
      items: item,
    };
    const schema: JsonSchema = { type: "object", properties: { list: map, plain: { type: "array", items: item } } };
    const old = { list: [{ name: "a", n: 5 }], plain: [{ n: 5 }] };
    expect(faults({ ...old, more: 1 }, schema, old)).toEqual([]);
    expect(
      faults(
        {
          list: [
            { name: "b", n: 1 },
            { name: "a", n: 5 },
          ],
        },
        schema,
        old,
      ),
    ).toEqual([]);
    expect(faults({ list: [{ name: "a", n: 6 }] }, schema, old)).toHaveLength(1);
    // Items without a name of their own are known by the whole list only.
    expect(faults({ plain: [{ n: 5 }, { n: 1 }] }, schema, old)).toHaveLength(1);
  });

  it("takes no longer for a pattern that others hang on", () => {
    expect(faults(`${"a".repeat(20_000)}!`, { type: "string", pattern: "^(a+)+$" })).toHaveLength(1);
  });
});

it.each<[string, string[], string[]]>([
  ["date-time", ["2030-01-01T00:00:00Z", "2030-01-01t00:00:00.5+02:00"], ["2030-01-01", "2030-13-01T00:00:00Z"]],
  ["date", ["2028-02-29"], ["2030-02-29", "30-1-1"]],
  ["duration", ["1h30m", "0", "3 days", "1.5s"], ["", "x", "1"]],
  ["email", ["a@b.c", "Me <me@x.y>"], ["a", "@b", "a b@c"]],
  ["uri", ["https://a/b?c", "/path", "urn:x"], ["", "relative", "http://a b"]],
  ["hostname", ["a.example", "EXAMPLE.com"], ["-a.b", "a..b", "a b"]],
  ["ipv6", ["::1", "fe80::1"], ["1.2.3.4", ":::"]],
  ["cidr", ["10.0.0.0/8", "::/0"], ["10.0.0.0", "10.0.0.0/33"]],
  ["mac", ["00:00:5e:00:53:01", "0000.5e00.5301"], ["00:00:5e", "zz:00:5e:00:53:01"]],
  ["uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567"]],
  ["byte", ["YQ=="], ["Y", "%%%%"]],
  ["isbn", ["0321751043", "978-0321751041"], ["0321751044"]],
  ["creditcard", ["4111 1111 1111 1111"], ["4111 1111 1111 1112"]],
  ["hexcolor", ["#FFF", "a0b1c2"], ["#ff"]],
  ["rgbcolor", ["rgb(1, 2,255)"], ["rgb(1,2,256)"]],
  ["ssn", ["123-45-6789"], ["12-345-6789"]],
  ["k8s-short-name", ["a-1"], ["-a", "A"]],
  ["k8s-long-name", ["a.b-c.1"], ["a..b"]],
])("the format %s", (format, good, bad) => {
  const found = formatOf({ type: "string", format });
  for (const text of good) expect([text, found?.test(text)]).toEqual([text, true]);
  for (const text of bad) expect([text, found?.test(text)]).toEqual([text, false]);
});

describe("pruning", () => {
  const schema: JsonSchema = {
    type: "object",
    properties: {
      known: { type: "object", properties: { a: { type: "string" } } },
      open: {
        type: "object",
        "x-kubernetes-preserve-unknown-fields": true,
        properties: { in: { type: "object", properties: { b: { type: "string" } } } },
      },
      map: { type: "object", additionalProperties: { type: "object", properties: { c: { type: "string" } } } },
      list: { type: "array", items: { type: "object", properties: { d: { type: "string" } } } },
      whole: { type: "object", "x-kubernetes-embedded-resource": true, properties: { spec: { type: "object" } } },
    },
  };

  it("removes what is not named and tells where", () => {
    const object = {
      apiVersion: "v1",
      metadata: { name: "x" },
      other: 1,
      known: { a: "1", x: 1 },
      open: { any: { thing: 1 }, in: { b: "1", x: 1 } },
      map: { k: { c: "1", x: 1 } },
      list: [{ d: "1" }, { x: 1 }],
      whole: { kind: "K", metadata: { anything: 1 }, x: 1 },
    };
    expect(prune(object, schema)).toEqual(["known.x", "list[1].x", "map.k.x", "open.in.x", "other", "whole.x"]);
    expect(object).toEqual({
      apiVersion: "v1",
      metadata: { name: "x" },
      known: { a: "1" },
      open: { any: { thing: 1 }, in: { b: "1" } },
      map: { k: { c: "1" } },
      list: [{ d: "1" }, {}],
      whole: { kind: "K", metadata: { anything: 1 } },
    });
  });
});

it("fills in defaults where something stands around them, and drops nulls that may not stand", () => {
  const inner: JsonSchema = {
    type: "object",
    properties: { x: { type: "integer", default: 1 }, n: { type: "string" } },
  };
  const schema: JsonSchema = {
    type: "object",
    properties: {
      a: inner,
      b: { ...inner, default: {} },
      c: { type: "string", nullable: true, default: "d" },
      l: { type: "array", items: inner },
    },
  };
  const object = { c: null, l: [{ x: null, n: null }, { x: 2 }] };
  dropNulls(object, schema);
  applyDefaults(object, schema);
  expect(object).toEqual({ b: { x: 1 }, c: null, l: [{ x: 1 }, { x: 2 }] });
});

it("checks the objects inside of an object", () => {
  const schema: JsonSchema = {
    type: "object",
    properties: {
      template: {
        type: "object",
        "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true,
      },
    },
  };
  const found = (template: object): string[] => validateEmbedded({ template }, schema).map(describeFault);
  expect(found({ apiVersion: "v1", kind: "Pod", metadata: { labels: { a: "b" } } })).toEqual([]);
  expect(found({ kind: "a_b", metadata: { labels: { "-": "b" } } })).toMatchObject([
    "template.apiVersion: Required value",
    expect.stringContaining('template.kind: Invalid value: "a_b": may have mixed case, but should otherwise match: '),
    expect.stringContaining('template.metadata.labels: Invalid value: "-": name part must consist of'),
  ]);
  expect(found({ apiVersion: "v1", kind: "Pod", metadata: { labels: 1 } })).toMatchObject([
    expect.stringContaining("template.metadata: Invalid value"),
  ]);
});

it("knows what stands twice in sets and maps", () => {
  const set: JsonSchema = { type: "array", "x-kubernetes-list-type": "set", items: { type: "string" } };
  expect(validateListTypes(["a", "b", "a", "a"], set).map(describeFault)).toEqual(['[2]: Duplicate value: "a"']);
});

describe("schemas that are not structural", () => {
  it.each<[JsonSchema, string]>([
    [{ properties: { a: { type: "string" } } }, "s.type: Required value: must not be empty at the root"],
    [
      { type: "object", properties: { a: {} } },
      "s.properties[a].type: Required value: must not be empty for specified object fields",
    ],
    [
      { type: "object", anyOf: [{ properties: { b: { minimum: 1 } } }] },
      "s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]",
    ],
    [
      { type: "object", additionalProperties: { type: "string" } },
      "s.additionalProperties: Forbidden: must not be used at the root",
    ],
    [
      { type: "object", properties: { metadata: { type: "object", properties: { labels: { type: "object" } } } } },
      "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
    ],
    [
      { type: "object", properties: { a: { type: "integer", allOf: [{ type: "integer" }] } } },
      "s.properties[a].allOf[0].type: Forbidden: must be empty to be structural",
    ],
  ])("%j", (schema, expected) => {
    expect(validateStructural(schema, "s").map(describeFault)).toContain(expected);
  });

  it("but int-or-string may be said in two ways", () => {
    const anyOf = [{ type: "integer" }, { type: "string" }];
    const both: JsonSchema = {
      type: "object",
      properties: {
        a: { "x-kubernetes-int-or-string": true, anyOf },
        b: { "x-kubernetes-int-or-string": true, allOf: [{ anyOf }, { pattern: "x" }] },
      },
    };
    expect(validateStructural(both, "s")).toEqual([]);
  });
});

describe("JSON paths", () => {
  const object = {
    spec: {
      "a.b": 1,
      list: [
        { type: "Ready", status: "True" },
        { type: "Other", n: 2 },
      ],
    },
  };
  it.each<[string, unknown[]]>([
    [".spec.list[0].type", ["Ready"]],
    [".spec.list[-1].type", ["Other"]],
    [".spec.list[*].type", ["Ready", "Other"]],
    ['.spec.list[?(@.type=="Ready")].status', ["True"]],
    [".spec.list[?(@.n>1)].type", ["Other"]],
    [".spec['a.b']", [1]],
    [".spec.a\\.b", [1]],
    ["..status", ["True"]],
    [".spec.missing.x", []],
    [".spec.list[0:1].type", ["Ready"]],
  ])("%s", (path, expected) => {
    expect(compileJsonPath(path).find(object)).toEqual(expected);
  });
});

/** A small generator of numbers, so that a failure can be seen again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

it("takes any value with any schema, and a pruned and defaulted value stays as it is", () => {
  const next = random(20_260_101);
  const value = (depth: number): unknown => {
    const kind = next(depth > 3 ? 5 : 7);
    const scalars = [null, true, next(100) - 50, "text", "__proto__"];
    if (kind < 5) return scalars[kind];
    if (kind === 5) return Array.from({ length: next(4) }, () => value(depth + 1));
    return Object.fromEntries(
      Array.from({ length: next(4) }, () => [["a", "b", "metadata", "c"][next(4)] ?? "a", value(depth + 1)]),
    );
  };
  const types = ["object", "array", "string", "integer", "number", "boolean"];
  const schema = (depth: number): JsonSchema => {
    const type = depth === 0 ? "object" : (types[next(types.length)] ?? "object");
    const deeper = depth < 4;
    return {
      type,
      ...(next(4) === 0 ? { nullable: true } : {}),
      ...(next(5) === 0 ? { default: value(3) } : {}),
      ...(next(6) === 0 ? { "x-kubernetes-preserve-unknown-fields": true } : {}),
      ...(type === "object" && deeper
        ? { properties: { a: schema(depth + 1), b: schema(depth + 1) }, required: ["a"] }
        : {}),
      ...(type === "array" && deeper
        ? { items: schema(depth + 1), maxItems: 2, "x-kubernetes-list-type": next(2) ? "set" : "atomic" }
        : {}),
      ...(type === "string"
        ? { maxLength: 3, pattern: "^t", format: ["date", "uri", "email"][next(3)] ?? "date" }
        : {}),
      ...(type === "integer" ? { minimum: 0, multipleOf: 3 } : {}),
      ...(next(5) === 0 && deeper ? { anyOf: [{ required: ["b"] }, schema(depth + 2)], not: { enum: [1] } } : {}),
    };
  };
  for (let i = 0; i < 3000; i++) {
    const shape = schema(0);
    const object = { a: value(0), b: value(0), c: value(0) } as Record<string, unknown>;
    prune(object, shape);
    dropNulls(object, shape);
    applyDefaults(object, shape);
    for (const one of validateValue(object, shape)) expect(describeFault(one)).not.toBe("");
    validateListTypes(object, shape);
    const again = structuredClone(object);
    expect(validateValue(again, shape, undefined, { value: object })).toEqual([]);
    validateStructural(shape, "s");
  }
});
