import { expect, test } from "vitest";
import { FakeClock } from "../system/index.ts";
import { createWorkQueue } from "./work-queue.ts";

const start = () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  return { clock, stop, queue: createWorkQueue({ clock, signal: stop.signal }) };
};

test("a key that waits is there once; one that is worked on comes back when it is done", async () => {
  const { queue } = start();
  queue.add("a");
  queue.add("b");
  queue.add("a");
  expect(await queue.take()).toBe("a");
  queue.add("a");
  expect(await queue.take()).toBe("b");
  let third: string | undefined;
  void queue.take().then((key) => (third = key));
  await Promise.resolve();
  expect(third).toBeUndefined();
  queue.done("a");
  await Promise.resolve();
  expect(third).toBe("a");
  expect(queue.stats()).toEqual({ depth: 0, adds: 4, retries: 0 });
});

test("of two wishes for later the earlier counts", async () => {
  const { queue, clock } = start();
  queue.addAfter("a", 1000);
  queue.addAfter("a", 100);
  queue.addAfter("b", 500);
  await clock.advance(99);
  expect(queue.stats().depth).toBe(0);
  await clock.advance(1);
  expect(queue.stats().depth).toBe(1);
  await clock.advance(400);
  expect(queue.stats().depth).toBe(2);
  await clock.advance(10_000);
  expect(queue.stats().adds).toBe(2);
});

test("a delay doubles until forgotten, and never exceeds a minute", () => {
  const { queue } = start();
  expect([queue.retry("a"), queue.retry("a"), queue.retry("a")]).toEqual([5, 10, 20]);
  for (let i = 0; i < 2000; i++) queue.retry("a");
  expect(queue.retry("a")).toBe(60_000);
  queue.forget("a");
  expect(queue.retry("a")).toBe(5);
});

test("an abort wakes those who wait and takes the timer away", async () => {
  const { queue, stop, clock } = start();
  const waiting = queue.take();
  queue.addAfter("a", 10);
  stop.abort();
  expect(await waiting).toBeUndefined();
  await clock.advance(100);
  expect(await queue.take()).toBeUndefined();
  expect(queue.stats().adds).toBe(0);
});

test("tells once for each key how long it waited and was worked on", async () => {
  const told: string[] = [];
  const queue = createWorkQueue({
    clock: new FakeClock(),
    signal: new AbortController().signal,
    times: { waited: () => void told.push("waited"), worked: () => void told.push("worked") },
  });
  queue.add("a");
  queue.add("a");
  expect([await queue.take(), told]).toEqual(["a", ["waited"]]);
  queue.add("a");
  const { all, longest } = queue.unfinished();
  expect(all).toBeGreaterThan(0);
  expect(longest).toBe(all);
  queue.done("a");
  expect([await queue.take(), told]).toEqual(["a", ["waited", "worked", "waited"]]);
  queue.done("a");
  queue.done("a");
  expect(told).toEqual(["waited", "worked", "waited", "worked"]);
  expect(queue.unfinished()).toEqual({ all: 0, longest: 0 });
});
