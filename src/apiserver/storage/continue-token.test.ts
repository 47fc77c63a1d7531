import { describe, expect, it } from "vitest";
import { decodeContinue, encodeContinue } from "./continue-token.ts";

describe("continue token", () => {
  it("comes back as it was", () => {
    const token = { revision: 42, after: "default/web" };
    expect(decodeContinue(encodeContinue(token))).toEqual(token);
  });

  it.each([
    "",
    "x",
    "e30",
    Buffer.from("null").toString("base64url"),
    Buffer.from('{"v":"another/v1"}').toString("base64url"),
  ])("refuses %j", (text) => {
    expect(() => decodeContinue(text)).toThrow(/continue key is not valid/);
  });
});
