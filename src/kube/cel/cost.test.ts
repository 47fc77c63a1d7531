import { describe, expect, it } from "vitest";
import {
  compileExpression,
  costLimits,
  dynamicValue,
  dyn,
  typeOfSchema,
  type CelSchema,
  type Compiled,
} from "./index.ts";

const compile = (source: string, schema?: CelSchema): Compiled => {
  const self = schema ? (typeOfSchema(schema) ?? dyn) : dyn;
  const compiled = compileExpression(source, { variables: { self } });
  if (!compiled.ok) throw new Error(compiled.message);
  return compiled;
};

describe("what a run costs", () => {
  const self = { name: "abcdefghijklmnopqrstuvwxyz", n: 1, list: [1, 2, 3], map: { a: "x", b: "y" } };
  it.each<[string, number]>([
    ["true", 0],
    ["self == null", 2],
    ["self.n", 2],
    ["self.n == 1", 3],
    ["has(self.n)", 1],
    ["has(self.a) || has(self.b)", 2],
    ["self.n == 1 ? 1 : 2", 3],
    ["[1, 2]", 10],
    ["{'a': 1}", 30],
    ["self.name == 'abcdefghijklmnopqrstuvwxyz'", 5],
    ["self.name.startsWith('a')", 5],
    ["self.name.contains('abcdefghijk')", 8],
    ["self.name.matches('abcd')", 5],
    ["self.name + self.name", 10],
    ["1 in self.list", 5],
    ["'a' in self.map", 3],
    ["self.list[0]", 3],
    ["size(self.list)", 3],
    ["self.list.all(x, x > 0)", 18],
    ["self.list.exists(x, x > 2)", 21],
    ["self.list.map(x, x)", 52],
    ["self.list.filter(x, true)", 52],
    ["self.list.sum()", 5],
    ["self.name.upperAscii()", 5],
    ["quantity('100Mi').isGreaterThan(quantity('1Mi'))", 3],
  ])("%s", (source, cost) => {
    expect(compile(source).evaluate({ self: dynamicValue(self) })).toMatchObject({ cost });
  });

  it("ends at the limit of one call and at the budget", () => {
    const list = Array.from({ length: 1000 }, (_, i) => i);
    const compiled = compile("self.all(x, self.all(y, x + y >= 0))");
    const self = dynamicValue(list);
    const result = compiled.evaluate({ self });
    expect(result.costExceeded).toBe("call");
    expect(result.cost).toBeLessThan(costLimits.perCall + 10);
    expect(compiled.evaluate({ self }, { budget: 100 })).toEqual({ costExceeded: "budget", cost: expect.any(Number) });
    expect(compiled.evaluate({ self: dynamicValue([1]) }, { budget: 100 }).value).toBe(true);
  });

  it("a budget that is used up is no error that || hides", () => {
    expect(compile("[1, 2, 3].all(x, x > 0) || true").evaluate({}, { budget: 5 }).costExceeded).toBe("budget");
  });
});

describe("estimates", () => {
  const strings = (maxItems?: number, maxLength?: number): CelSchema => ({
    type: "array",
    items: { type: "string", ...(maxLength === undefined ? {} : { maxLength }) },
    ...(maxItems === undefined ? {} : { maxItems }),
  });
  it.each<[string, CelSchema, number, number]>([
    ["true", strings(), 0, 0],
    ["self.size() == 1", strings(10), 3, 3],
    ["self.all(x, x == 'a')", strings(10, 5), 2, 52],
    ["self.all(x, self.exists(y, x == y))", strings(10, 5), 2, 852],
    ["self.map(x, x + 'ab')", strings(10, 10), 12, 192],
    ["self.startsWith('a')", { type: "string", maxLength: 100 }, 1, 41],
    ["self.matches('[a-z]*')", { type: "string", maxLength: 10 }, 3, 11],
    ["self == self", { type: "string", maxLength: 10 }, 2, 6],
  ])("%s", (source, schema, min, max) => {
    expect(compile(source, schema).estimate()).toEqual({ min, max });
  });

  it.each<[string, CelSchema]>([
    ["self.all(x, self.all(y, x == y))", strings()],
    ["self.all(x, x.matches('^[a-z]+$'))", strings()],
    [
      "self.all(k, self[k].all(x, x > 0))",
      { type: "object", additionalProperties: { type: "array", items: { type: "integer" } } },
    ],
  ])("without bounds nothing bounds %s", (source, schema) => {
    expect(compile(source, schema).estimate().max).toBeGreaterThan(costLimits.estimatedPerRule * 100);
  });

  it("is never below what a run costs", () => {
    const schema = strings(5, 5);
    const self = typeOfSchema(schema) ?? dyn;
    for (const source of [
      "self.all(x, x.size() < 9)",
      "self.exists(x, x == 'ddddd')",
      "self.exists_one(x, x.contains('d'))",
      "self.filter(x, x.startsWith('a')).size() > 3",
      "self.map(x, x + x).join('-').matches('a+')",
      "self.all(x, self.exists_one(y, x == y))",
      "self[0].split('').map(c, c + 'x').size() == 5",
      "self.isSorted() && self.indexOf('b') == 1",
      "sets.contains(self, ['a'])",
      "self.map(x, {'a': x}).all(m, m.a == m['a'])",
    ]) {
      const compiled = compileExpression(source, { variables: { self } });
      if (!compiled.ok) throw new Error(compiled.message);
      const { cost } = compiled.evaluate({ self: dynamicValue(["aaaaa", "bbbbb", "ccccc", "ddddd", "eeeee"]) });
      const { min, max } = compiled.estimate();
      expect([source, cost <= max, cost >= min], `${min} ${cost} ${max}`).toEqual([source, true, true]);
    }
  });
});
