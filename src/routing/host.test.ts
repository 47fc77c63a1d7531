import { describe, expect, test } from "vitest";
import { canonicalHost, isRuleHost } from "./host.ts";

describe("canonicalHost", () => {
  test.each([
    ["Foo.COM", "foo.com"],
    ["foo.com:8080", "foo.com"],
    ["foo.com.", "foo.com"],
    ["foo.com.:80", "foo.com"],
    ["foo.com:", "foo.com"],
    ["127.0.0.1:80", "127.0.0.1"],
    ["[::1]:443", "[::1]"],
    ["[::1]", "[::1]"],
    ["my_service", "my_service"],
    ["", ""],
  ])("%j is %j", (authority, host) => {
    expect(canonicalHost(authority)).toBe(host);
  });

  test.each([
    "foo.com/x",
    "a b",
    "user@foo.com",
    "*.foo.com",
    "foo..com",
    "-foo.com",
    ".foo.com",
    "foo.com:80:80",
    "foo.com:x",
    "foo\u0000.com",
    "[::1",
    "é.com",
    `${"a.".repeat(127)}com`,
    "..",
    "foo.com:999999",
  ])("%j is none", (authority) => {
    expect(canonicalHost(authority)).toBeUndefined();
  });
});

test.each([
  ["foo.com", true],
  ["*.foo.com", true],
  ["foo", true],
  ["*", false],
  ["*.*.com", false],
  ["Foo.com", false],
  ["foo.com:80", false],
  ["a.*.com", false],
  ["foo_bar.com", false],
])("a rule may have the host %s: %s", (host, may) => {
  expect(isRuleHost(host)).toBe(may);
});
