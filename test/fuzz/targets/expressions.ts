import { compilePattern, compileJsonPath, JsonPathError, PatternError } from "../../../src/kube/index.ts";
import {
  compileExpression,
  costLimits,
  dyn,
  dynamicValue,
  int,
  listOf,
  mapOf,
  objectOf,
  string,
} from "../../../src/kube/cel/index.ts";
import { broken, outcome, skeleton, type Target } from "../target.ts";

const variables = {
  self: dyn,
  text: string,
  list: listOf(int),
  number: int,
  map: mapOf(string, string),
  object: objectOf("Object", { name: string, list: listOf(string) }),
};
const bindings = {
  self: dynamicValue({ a: [1, "x", null, { b: true }], b: "aaaaaaaaaaaaaaaaaaaaaaaa!", __proto__x: 1 }),
  text: "some text",
  list: dynamicValue([1, 2, 3]),
  number: 3n,
  map: dynamicValue({ constructor: "a", b: "c" }),
  object: dynamicValue({ name: "n", list: ["a"] }),
};

const functions =
  "size matches contains startsWith endsWith split join map filter all exists exists_one transformMap transformList transformMapEntry substring replace format sum max min isSorted indexOf lastIndexOf getHours getFullYear hasValue orValue optMap optFlatMap findAll find add sub isGreaterThan compareTo upperAscii lowerAscii reverse trim string int uint double bytes bool type dyn duration timestamp quantity isQuantity url isURL getHost getQuery ip cidr containsIP semver isSemver format.named.dns1123Label.validate sets.contains strings.quote charAt asInteger has __proto__ constructor cel.bind".split(
    " ",
  );

export const cel: Target = {
  name: "cel",
  form: "text",
  words: [
    ...functions,
    "self",
    "text",
    "list",
    "number",
    "map",
    "object",
    ".",
    "?.",
    "(",
    ")",
    "[",
    "]",
    "[?",
    "{",
    "}",
    ",",
    ":",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<=",
    "&&",
    "||",
    "!",
    " in ",
    "'x'",
    '"""',
    "r'",
    "b'",
    "1u",
    "1.5e3",
    "0x1F",
    "9223372036854775807",
    "optional.none()",
    "(x, x)",
    "(i, v, i == v)",
    "'😀'",
  ],
  seeds: () => [
    "self.a[0] == 1 && size(self.b) > 3",
    "list.map(x, x * 2).filter(x, x > 2).exists(x, x == 4)",
    "has(self.a) ? object.name.matches('^(a+)+$') : false",
    "map.constructor == 'a' || map['b'].startsWith('c')",
    "[1, 2, 3].sum() + {'a': 1}['a'] + int('3') + number % 2",
    "timestamp('2024-01-01T00:00:00Z') + duration('1h30m') > timestamp(0)",
    "object.list.all(x, x.size() < 10) && text.replace('e', 'ee', 2).split(' ')[0].upperAscii() == 'SOME'",
    "quantity('1Gi').isGreaterThan(quantity('500Mi')) && ip('::1').isLoopback() && cidr('10.0.0.0/8').containsIP('10.1.1.1')",
    "self.?a[?7].orValue('none') == optional.of('x').value()",
    "'%s %d %.2f %x'.format(['a', 1, 1.5, 255])",
    "list.transformMap(i, v, i < 2, v * 2)[0u] == 2 && type(self) == type({})",
    "url('https://a:80/b?c=d').getQuery()['c'] == ['d'] && b'abc' < b'abd' && semver('1.2.3').major() == 1",
  ],
  run(input) {
    const compiled = compileExpression(input.toString(), { variables });
    if (!compiled.ok) return `refused ${compiled.reason} ${skeleton(compiled.message)}`;
    const { min, max } = compiled.estimate();
    if (!(min <= max)) broken(`an estimate from ${min} to ${max}`);
    const result = compiled.evaluate(bindings);
    if (result.cost > costLimits.perCall * 2) broken(`cost ${result.cost}`);
    return result.costExceeded
      ? "cost"
      : result.error === undefined
        ? `ok ${typeof result.value}`
        : `fault ${skeleton(result.error)}`;
  },
};

/** A pattern, a line feed, and a text that it is held against. */
export const regex: Target = {
  name: "regex",
  form: "text",
  words: [
    "(",
    ")",
    "(?:",
    "(?i)",
    "(?P<n>",
    "[",
    "]",
    "[^",
    "[[:alpha:]]",
    "\\d",
    "\\pL",
    "\\x{10FFFF}",
    "\\b",
    "\\z",
    "^",
    "$",
    "*",
    "+",
    "?",
    "{2,3}",
    "{1000}",
    "|",
    ".",
    "\\Q",
    "\\E",
    "-",
    "a",
    "\n",
    "aaaaaaaaaaaaaaaa",
  ],
  seeds: () => [
    "^(a+)+$\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
    "[a-z0-9]([-a-z0-9]*[a-z0-9])?\nweb-1",
    "(?i)(?P<x>\\pL|\\d{2,4})+?\nÄb12",
    "\\bfoo\\B|[[:^digit:]]\\z\nfoo",
    "(x{1,100}){1,10}\nxxxxxxxx",
  ],
  run: (input) =>
    outcome([PatternError], () => {
      const [source = "", ...rest] = input.toString().split("\n");
      const text = rest.join("\n");
      const pattern = compilePattern(source);
      const found = pattern.find(text);
      if (pattern.test(text) !== (found !== undefined)) broken("a match is found by one way and not by another");
      if (found && (found.start > found.end || found.end > text.length)) broken("a match lies outside the text");
      return pattern.findAll(text, 1000);
    }),
};

export const jsonPath: Target = {
  name: "json-path",
  form: "text",
  words: [
    ".",
    "..",
    "[",
    "]",
    "*",
    "?(@.",
    "==",
    "'",
    '"',
    "0",
    ":",
    "-1",
    ",",
    "spec",
    "range",
    "{",
    "}",
    "__proto__",
    "constructor",
  ],
  seeds: () => [
    ".spec.replicas",
    '.status.conditions[?(@.type=="Ready")].status',
    ".spec.list[0:2]['a','b']",
    "..name",
    ".a[-1]",
    ".constructor.__proto__",
  ],
  run: (input) =>
    outcome([JsonPathError], () => {
      const path = compileJsonPath(input.toString());
      const found = path.find({
        spec: { replicas: 1, list: [{ a: 1 }, { b: [2] }] },
        status: { conditions: [{ type: "Ready", status: "True" }] },
      });
      for (const value of found)
        if (typeof value === "function" || value === Object.prototype) broken("a path leads to what every object has");
      return found;
    }),
};
