import { expect, test } from "vitest";
import { statusError } from "../kube/index.ts";
import { messageOf, unless } from "./outcomes.ts";

test("only the reasons that are named are nothing to worry about", async () => {
  const gone = () => Promise.reject(statusError("NotFound", "gone"));
  expect(await unless(Promise.resolve(1), "NotFound")).toBe(1);
  expect(await unless(gone(), "Conflict", "NotFound")).toBeUndefined();
  await expect(unless(gone(), "Conflict")).rejects.toThrow("gone");
});

test("whatever was thrown has a message", () => {
  expect([messageOf(new Error("why")), messageOf("text"), messageOf(undefined)]).toEqual([
    "why",
    "unknown error",
    "unknown error",
  ]);
});
