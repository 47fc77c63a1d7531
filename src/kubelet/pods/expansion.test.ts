import { expect, test } from "vitest";
import { expand } from "./expansion.ts";

test.each([
  ["plain", "plain"],
  ["$(A)-$(B)", "1-2"],
  ["$$(A)", "$(A)"],
  ["$$$(A)", "$1"],
  ["$(MISSING)", "$(MISSING)"],
  ["$(toString)", "$(toString)"],
  ["$A $", "$A $"],
  ["$(A", "$(A"],
  ["$()", "$()"],
])("expand %s", (text, expected) => {
  expect(expand(text, { A: "1", B: "2" })).toBe(expected);
});
