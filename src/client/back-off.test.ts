import { expect, test } from "vitest";
import { FakeClock } from "../system/index.ts";
import { backOff, backOffOf } from "./back-off.ts";

test("doubles up to the most, however often", () => {
  const delays = [1, 2, 3, 4, 5000].map((failures) => backOffOf(failures, { first: 50, most: 300 }));
  expect(delays).toEqual([50, 100, 200, 300, 300]);
});

test("waits between half and all of it, and ends with the signal", async () => {
  const clock = new FakeClock();
  let done = false;
  void backOff(clock, 1, { first: 100, most: 100 }, new AbortController().signal).then(() => (done = true));
  await clock.advance(49);
  expect(done).toBe(false);
  await clock.advance(51);
  expect(done).toBe(true);
  const stop = new AbortController();
  const waiting = backOff(clock, 1, { first: 100, most: 100 }, stop.signal);
  stop.abort(new Error("stop"));
  await expect(waiting).rejects.toThrow("stop");
});
