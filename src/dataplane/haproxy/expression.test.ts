import { describe, expect, test } from "vitest";
import { automatonOf } from "./expression.ts";

describe("an expression for the Lua program", () => {
  test("is instructions, which take bytes", () => {
    expect(automatonOf("[a-c]é")).toBe("a::beginText s::97-99 s::233-233 a::endText m");
  });

  test("takes nothing in the place of characters that are no byte", () => {
    expect(automatonOf("Ω")).toBe("a::beginText s:: a::endText m");
  });

  test("is none when it is too large, or no expression", () => {
    expect(automatonOf("(a{500}){2}")).toBeUndefined();
    expect(automatonOf("(")).toBeUndefined();
  });
});
