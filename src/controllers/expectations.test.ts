import { expect, test } from "vitest";
import { FakeClock } from "../system/index.ts";
import { createExpectations } from "./expectations.ts";

test("met when all that was done was seen, however often it is seen", () => {
  const expectations = createExpectations(new FakeClock());
  expect(expectations.satisfied("a")).toBe(true);
  expectations.expectCreations("a", 2);
  expectations.expectDeletions("a", ["x", "y"]);
  expectations.created("a");
  expectations.deleted("a", "x");
  expectations.deleted("a", "x");
  expect(expectations.satisfied("a")).toBe(false);
  expectations.created("a");
  expectations.created("a");
  expectations.deleted("a", "y");
  expect(expectations.satisfied("a")).toBe(true);
  expect(expectations.satisfied("b")).toBe(true);
});

test("forgotten on wish, and when an event was lost, after five minutes", async () => {
  const clock = new FakeClock();
  const expectations = createExpectations(clock);
  expectations.expectCreations("a", 1);
  expectations.forget("a");
  expect(expectations.satisfied("a")).toBe(true);
  expectations.expectCreations("a", 1);
  await clock.advance(299_000);
  expect(expectations.satisfied("a")).toBe(false);
  await clock.advance(2_000);
  expect(expectations.satisfied("a")).toBe(true);
});
