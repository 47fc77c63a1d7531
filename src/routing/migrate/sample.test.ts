import { expect, test } from "vitest";
import { matchesFromBegin, sampleOf } from "./sample.ts";

test.each([
  ["/foo", "/foo"],
  ["/[A-Z]{3}", "/AAA"],
  ["/users/(\\d+)/(.*)", "/users/0/"],
  ["/something(/|$)(.*)", "/something/"],
  ["/a(?:b|c)+x?", "/ab"],
  ["/(?P<id>[^/]+)/?", "/a"],
  ["/v[0-9]\\.[0-9]", "/v0.0"],
  ["/(a|b", undefined],
  ["/x(?!y)", undefined],
  ["/\\bword", undefined],
  ["(.*)", undefined],
])("of %s it is %s", (expression, sample) => {
  expect(sampleOf(expression)).toBe(sample);
  if (sample !== undefined) expect(matchesFromBegin(expression, sample)).toBe(true);
});

test("a path is matched from its begin, without regard to case", () => {
  expect(matchesFromBegin("/foo", "/FOO-more")).toBe(true);
  expect(matchesFromBegin("/foo", "/a/foo")).toBe(false);
});
