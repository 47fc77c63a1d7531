import { expect, test } from "vitest";
import { createLane } from "./lane.ts";

/** A loop whose time the test makes. */
function loopOf() {
  let now = 0;
  let idle = 0;
  const due: { at: number; call: () => void }[] = [];
  return {
    now: () => now,
    idle: () => idle,
    later: (milliseconds: number, call: () => void) => void due.push({ at: now + milliseconds, call }),
    get timers() {
      return due.length;
    },
    /** Lets time pass, of which a part is idle. */
    async pass(milliseconds: number, free: number) {
      for (let i = 0; i < milliseconds; i++) {
        now += 1;
        idle += free;
        for (const { call } of due.filter(({ at }) => at <= now)) call();
        due.splice(0, due.length, ...due.filter(({ at }) => at > now));
      }
      await Promise.resolve();
    },
  };
}

function laneOf() {
  const loop = loopOf();
  const requests = { underWay: 0 };
  const lane = createLane({ loop, underWay: () => requests.underWay });
  const went: number[] = [];
  const enter = (...names: number[]) => {
    for (const name of names) {
      const waiting = lane.enter();
      if (waiting) void waiting.then(() => went.push(name));
      else went.push(name);
    }
  };
  return { loop, requests, went, enter };
}

test("nobody waits while no request is under way, however busy the loop is", async () => {
  const { loop, went, enter } = laneOf();
  await loop.pass(100, 0);
  enter(1, 2, 3);
  expect([went, loop.timers]).toEqual([[1, 2, 3], 0]);
});

test("nobody waits for requests that leave the loop time", async () => {
  const { loop, requests, went, enter } = laneOf();
  requests.underWay = 20;
  await loop.pass(100, 0.5);
  enter(1, 2, 3);
  expect([went, loop.timers]).toEqual([[1, 2, 3], 0]);
});

test("while requests keep the loop busy there is a turn each 10 ms, in the order of the calls", async () => {
  const { loop, requests, went, enter } = laneOf();
  requests.underWay = 1;
  await loop.pass(20, 0);
  enter(...Array.from({ length: 50 }, (_, i) => i));
  expect(went).toEqual([]);
  await loop.pass(10, 0);
  expect(went).toEqual([0]);
  await loop.pass(100, 0);
  expect(went).toEqual(Array.from({ length: 11 }, (_, i) => i));
});

test("a loop that was held up gives the turns that were due meanwhile", async () => {
  const loop = loopOf();
  const went: number[] = [];
  let now = 0;
  const timers: (() => void)[] = [];
  const lane = createLane({
    underWay: () => 1,
    loop: { ...loop, now: () => now, idle: () => 0, later: (_ms, call) => void timers.push(call) },
  });
  now = 20;
  for (let i = 0; i < 50; i++) void lane.enter()?.then(() => went.push(i));
  now = 70;
  timers.shift()?.();
  await Promise.resolve();
  expect(went).toHaveLength(5);
});

test("what waits goes when the requests have gone, and a little of it when the loop has time", async () => {
  const { loop, requests, went, enter } = laneOf();
  requests.underWay = 5;
  await loop.pass(20, 0);
  enter(...Array.from({ length: 40 }, (_, i) => i));
  await loop.pass(10, 0.4);
  expect(went).toHaveLength(16);
  requests.underWay = 0;
  await loop.pass(10, 0);
  expect(went).toHaveLength(40);
  await loop.pass(20, 0);
  expect(loop.timers).toBe(0);
});
