import { expect, test } from "vitest";
import { compileCaptures } from "./captures.ts";

test.each([
  ["(?i)/something(/|$)(.*)", "/something/new/x", ["/something/new/x", "/", "new/x"]],
  ["(?i)/something(/|$)(.*)", "/SOMETHING", ["/SOMETHING", "", ""]],
  ["/api/v(\\d+)/(?:items|things)/([^/]+)", "/api/v2/things/7/rest", ["/api/v2/things/7", "2", "7"]],
  ["(a)|(b)", "b", ["b", undefined, "b"]],
  ["(a+?)(a*)", "aaa", ["aaa", "a", "aa"]],
  ["(a|ab)(c|bcd)(d*)", "abcd", ["abcd", "a", "bcd", ""]],
  ["(x*)*", "xxx", ["xxx", "xxx"]],
  ["^/$", "/a", undefined],
])("%s on %s", (pattern, text, expected) => {
  const found = compileCaptures(pattern)(text);
  expect(found).toEqual(expected);
  // On these JavaScript means the same.
  const own = new RegExp(pattern.replace("(?i)", ""), pattern.startsWith("(?i)") ? "i" : "").exec(text);
  if (pattern !== "(x*)*") expect(found).toEqual(own ? [...own] : undefined);
});

test("a pattern that others take exponential time for is done at once", () => {
  expect(compileCaptures("^(a+)+$")(`${"a".repeat(2_000)}!`)).toBeUndefined();
});
