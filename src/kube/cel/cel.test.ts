import { describe, expect, it } from "vitest";
import { compileExpression, dynamicValue, objectOf, dyn, int, string, listOf, mapOf } from "./index.ts";

const show = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "kind" in value
    ? JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v))
    : value;

const run = (source: string, self: unknown = null): unknown => {
  const compiled = compileExpression(source, { variables: { self: dyn } });
  if (!compiled.ok) return compiled.message;
  const result = compiled.evaluate({ self: dynamicValue(self) });
  return result.error ?? result.costExceeded ?? show(result.value);
};

describe("language", () => {
  it.each<[string, unknown]>([
    ["1 + 2 * 3", 7n],
    ["-(1) - -2", 1n],
    ["7 / 2", 3n],
    ["-7 % 3", -1n],
    ["7.0 / 2.0", 3.5],
    ["'a' + \"b\"", "ab"],
    ["r'\\n' + '\\n\\u00e9\\x41\\101'", "\\n\néAA"],
    ['"""a"b"""', 'a"b'],
    ["b'a\\xff' == b'\\x61\\377'", true],
    ["dyn(1) == 1.0 && dyn(1u) == 1 && dyn([1]) == [1.0]", true],
    ["1 < 1.5", true],
    ["'b' > 'a'", true],
    ["true || 1 / 0 == 1", true],
    ["1 / 0 == 1 || true", true],
    ["1 / 0 == 1 && false", false],
    ["1 / 0 == 1 || false", "division by zero"],
    ["1 in [1, 2]", true],
    ["'a' in {'a': 1}", true],
    ["{'a': 1}.a", 1n],
    ["{'a': 1}['b']", "no such key: b"],
    ["[1, 2][5]", "index out of bounds: 5"],
    ["has({'a': 1}.b)", false],
    ["[1, 2, 3].all(x, x > 0)", true],
    ["[1, 2, 3].exists(x, x / 0 == 1 || x == 3)", true],
    ["[1, 2, 3].exists_one(x, x > 2)", true],
    ["[1, 2, 3].map(x, x * 2) == [2, 4, 6]", true],
    ["[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]", true],
    ["[1, 2, 3].filter(x, x > 1) == [2, 3]", true],
    ["{'a': 1, 'b': 2}.all(k, k in ['a', 'b'])", true],
    ["{'a': 1, 'b': 2}.exists(k, v, k == 'b' && v == 2)", true],
    ["[1, 2].all(i, v, v == i + 1)", true],
    ["[1, 2].transformList(i, v, i * v) == [0, 2]", true],
    ["{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 2) == {'b': 4}", true],
    ["{'a': 'x'}.transformMapEntry(k, v, {v: k}) == {'x': 'a'}", true],
    ["[[1], [2]].all(x, x.all(x, x > 0) && size(x) == 1)", true],
    ["9223372036854775807 + 1", "integer overflow"],
    ["-9223372036854775808", -9223372036854775808n],
    ["size('aé😀') == 3", true],
    ["type(1) == int && type('') == string && type(null) == null_type", true],
    ["type(timestamp('2024-01-01T00:00:00Z')) == google.protobuf.Timestamp", true],
    ["true ? 1 : 2", 1n],
    ["dyn(1) == 'a'", false],
    ["timestamp('2024-03-01T12:00:00Z') - timestamp('2024-02-29T12:00:00Z') == duration('24h')", true],
    ["timestamp('2024-03-01T12:00:00Z').getDayOfYear()", 60n],
    ["timestamp('2024-03-01T12:00:00Z').getHours('America/New_York')", 7n],
    ["string(duration('90s'))", "90s"],
    ["string(timestamp('2024-03-01T12:00:00.5Z'))", "2024-03-01T12:00:00.5Z"],
    ["'abc'.matches('^a.c$')", true],
    ["int('42') + int(1.9)", 43n],
    ["string(1.0)", "1"],
    ["double('1e3')", 1000],
    ["{'a': null}.a == null && {'a': null}['a'] == null && [null].all(x, x == null)", true],
    ["self == null", true],
    ["optional.of(null).value() == null && optional.of(null).orValue(null) == null", true],
  ])("%s", (source, expected) => {
    expect(run(source)).toEqual(expected);
  });
});

describe("compile errors", () => {
  const self = objectOf("object", { name: string, count: int, items: listOf(string), labels: mapOf(string, string) });
  it.each([
    ["self.nam", "undefined field 'nam'"],
    ["self.name == 1", "found no matching overload for '_==_' applied to '(string, int)'"],
    ["self.name + 1", "found no matching overload for '_+_' applied to '(string, int)'"],
    ["foo == 1", "undeclared reference to 'foo' (in container '')"],
    ["self.name.foo()", "undeclared reference to 'foo' (in container '')"],
    [
      "self.count.all(x, true)",
      "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
    ],
    ["self.count.size()", "found no matching overload for 'size' applied to 'int.()'"],
    ["self.count.x", "type 'int' does not support field selection"],
    ["[1, 'a']", "expected type 'int' but found 'string'"],
    ["self.", "Syntax error: no viable alternative at input '.'"],
    ["self.(", "Syntax error: no viable alternative at input '.('"],
    [
      "size(",
      "Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', ')', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
    ],
    ["if == 1", "reserved identifier: if"],
    ["has(self)", "invalid argument to has() macro"],
  ])("%s", (source, message) => {
    const compiled = compileExpression(source, { variables: { self } });
    expect(compiled.ok ? "ok" : compiled.message.split("\n")[0]?.replace(/^ERROR: <input>:\d+:\d+: /, "")).toBe(
      message,
    );
  });
});
