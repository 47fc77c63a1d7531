import { expect, test } from "vitest";
import { hashLabel, hashOf, withHash, withoutHash } from "./hash.ts";

const template = { metadata: { labels: { app: "x" } }, spec: { containers: [{ name: "c", image: "1" }] } };

test("equal templates have equal names, whatever the order of their fields", () => {
  const same = { spec: { containers: [{ image: "1", name: "c" }] }, metadata: { labels: { app: "x" } } };
  expect(hashOf(same, undefined)).toBe(hashOf(template, undefined));
  expect(hashOf(template, undefined)).toMatch(/^[456789bcdf]{6,10}$/);
});

test("another template, or another try, has another name", () => {
  const other = { ...template, spec: { containers: [{ name: "c", image: "2" }] } };
  const names = [hashOf(template, undefined), hashOf(other, undefined), hashOf(template, 1), hashOf(template, 2)];
  expect(new Set(names).size).toBe(4);
});

test("the label comes and goes", () => {
  expect(withHash(template, "h").metadata?.labels).toEqual({ app: "x", [hashLabel]: "h" });
  expect(withoutHash(withHash(template, "h"))).toEqual(template);
});
