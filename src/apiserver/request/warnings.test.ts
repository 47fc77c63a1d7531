import { describe, expect, it } from "vitest";
import { warningHeader } from "./warnings.ts";

describe("warning header", () => {
  it("is not there without warnings", () => {
    expect(warningHeader([])).toEqual({});
  });

  it("holds each text once", () => {
    expect(warningHeader(['unknown field "spec.a"', "b", "b"])).toEqual({
      warning: '299 - "unknown field \\"spec.a\\"", 299 - "b"',
    });
  });

  it("lets no text break out of it", () => {
    const { warning = "" } = warningHeader(['a\r\nSet-Cookie: x="y', "ö"]);
    expect(warning).toBe('299 - "a Set-Cookie: x=\\"y", 299 - "?"');
  });

  it("is bounded", () => {
    const { warning = "" } = warningHeader(Array.from({ length: 500 }, (_, i) => `${i}${"x".repeat(5000)}`));
    expect(warning.length).toBeLessThan(60_000);
  });
});
