import { describe, expect, it } from "vitest";
import { JsonSyntaxError, parseJson } from "./json.ts";

describe("values", () => {
  it.each([
    '{"a":[1,-2.5e3,true,false,null,"x\\"y:\\u00e9"],"b":{"c":{}},"d":[]}',
    "  [ { } , [ ] ]  ",
    '"\\\\"',
    '{"\\"a\\":":"b\\\\"}',
    "0",
  ])("%s", (text) => {
    expect(parseJson(text)).toEqual({ value: JSON.parse(text), duplicates: [] });
  });
});

it("half a character is none", () => {
  const text = '{"a\\ud800":["\\udc00b","\\ud83d\\ude00"],"c":{"d":"\\uD800"}}';
  expect(parseJson(text).value).toEqual({ "a\ufffd": ["\ufffdb", "\u{1f600}"], c: { d: "\ufffd" } });
});

describe("duplicates", () => {
  it.each([
    ['{"a":1,"a":2}', ['duplicate field "a"'], { a: 2 }],
    ['{"a":{"b":1,"b":{"c":3}}}', ['duplicate field "a.b"'], { a: { b: { c: 3 } } }],
    ['{"l":[{"x":0},{"a":1,"a":2}]}', ['duplicate field "l[1].a"'], { l: [{ x: 0 }, { a: 2 }] }],
    ['{"\\u0061":1,"a":2,"a":3}', ['duplicate field "a"'], { a: 3 }],
  ])("%s", (text, duplicates, value) => {
    expect(parseJson(text)).toEqual({ value, duplicates });
  });
});

describe("faults, in Go's words", () => {
  it.each([
    ["{", "unexpected end of JSON input"],
    ['{"a"}', "invalid character '}' after object key"],
    ['{"a":1 "b":2}', "invalid character '\"' after object key:value pair"],
    ["{a:1}", "invalid character 'a' looking for beginning of object key string"],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ["[1 2]", "invalid character '2' after array element"],
    ["[1,]", "invalid character ']' looking for beginning of value"],
    ["01", "invalid character '1' after top-level value"],
    ["1.x", "invalid character 'x' after decimal point in numeric literal"],
    ["1ex", "invalid character 'x' in exponent of numeric literal"],
    ["-x", "invalid character 'x' in numeric literal"],
    ["tru", "unexpected end of JSON input"],
    ['"\\x"', "invalid character 'x' in string escape code"],
    ['"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"],
    ['"a\nb"', "invalid character '\\n' in string literal"],
    ["'a'", "invalid character '\\'' looking for beginning of value"],
  ])("%j", (text, message) => {
    expect(() => parseJson(text)).toThrow(new JsonSyntaxError(message));
  });

  it.each(["[".repeat(1_000_000), `${"[".repeat(1001)}${"]".repeat(1001)}`])("does not run out of stack", (text) => {
    expect(() => parseJson(text)).toThrow(new JsonSyntaxError("exceeded max depth"));
  });

  it("reads a thousand levels", () => {
    expect(parseJson(`${"[".repeat(1000)}${"]".repeat(1000)}`).duplicates).toEqual([]);
  });
});
