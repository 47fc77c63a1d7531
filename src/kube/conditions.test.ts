import { expect, it } from "vitest";
import { findCondition, isConditionTrue, setCondition } from "./conditions.ts";

const ready = { type: "Ready", status: "True", reason: "Up", message: "", lastTransitionTime: "2030-01-01T00:00:00Z" };

it("keeps the time while the status stays", () => {
  const changed = setCondition(
    [ready],
    { type: "Ready", status: "True", reason: "Other", message: "" },
    "2031-01-01T00:00:00Z",
  );
  expect(changed).toEqual([{ ...ready, reason: "Other" }]);
});

it("moves the time when the status changes, and leaves others alone", () => {
  const other = { ...ready, type: "Other" };
  const changed = setCondition(
    [other, ready],
    { type: "Ready", status: "False", reason: "Down", message: "" },
    "2031-01-01T00:00:00Z",
  );
  expect(changed).toEqual([
    other,
    { ...ready, status: "False", reason: "Down", lastTransitionTime: "2031-01-01T00:00:00Z" },
  ]);
});

it("gives back the same list when nothing changes", () => {
  const list = [ready];
  expect(setCondition(list, { type: "Ready", status: "True", reason: "Up", message: "" }, "2031-01-01T00:00:00Z")).toBe(
    list,
  );
});

it("adds a condition that is new", () => {
  const list = setCondition<typeof ready>(
    undefined,
    { type: "Ready", status: "True", reason: "Up", message: "" },
    ready.lastTransitionTime,
  );
  expect(list).toEqual([ready]);
  expect(isConditionTrue(list, "Ready")).toBe(true);
  expect(isConditionTrue(list, "Missing")).toBe(false);
  expect(findCondition(list, "Ready")).toBe(list[0]);
});
