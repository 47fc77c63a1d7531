import { expect, test } from "vitest";
import { FakeClock, silentLogger } from "../system/index.ts";
import { createAlarm, watchHealth } from "./agent-parts.ts";

test("health is asked every second, and a change is told once", async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  let answer: string | undefined | Error;
  let changes = 0;
  const unhealthy = watchHealth({
    ask: () => (answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)),
    changed: () => changes++,
    signal: stop.signal,
    clock,
    log: silentLogger,
  });
  await clock.advance(1_000);
  expect([unhealthy(), changes]).toEqual([undefined, 0]);
  answer = "answers 503";
  await clock.advance(3_000);
  expect([unhealthy(), changes]).toEqual(["answers 503", 1]);
  answer = new Error("gone");
  await clock.advance(1_000);
  expect([unhealthy(), changes]).toEqual(["gone", 2]);
  stop.abort();
});

test("a change before the pause is not slept through, and one in it ends it", async () => {
  const clock = new FakeClock();
  const alarm = createAlarm(clock, new AbortController().signal);
  await alarm.wait(10_000);
  alarm.settled();
  let over = 0;
  void alarm.wait(10_000).then(() => over++);
  await clock.advance(5_000);
  expect(over).toBe(0);
  alarm.ring();
  await clock.advance(0);
  expect(over).toBe(1);
  alarm.settled();
  void alarm.wait(10_000).then(() => over++);
  await clock.advance(10_000);
  expect(over).toBe(2);
});
