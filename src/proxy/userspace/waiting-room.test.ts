import { expect, test } from "vitest";
import { FakeClock } from "../../system/index.ts";
import { createWaitingRoom } from "./waiting-room.ts";

const setup = () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const first: string[] = [];
  const room = createWaitingRoom({ clock, signal: stop.signal, first: (service) => first.push(service) });
  return { clock, stop, first, room };
};

test("who waits goes on when there is an endpoint, not at any other change, and the first that waits is told of", async () => {
  const { room, first } = setup();
  let there = false;
  const waits = [room.wait("a/web", 30, () => there), room.wait("a/web", 30, () => there)];
  expect(first).toEqual(["a/web"]);
  room.wake("a/web");
  room.wake("a/other");
  expect(room.count).toBe(2);
  there = true;
  room.wake("a/web");
  expect(await Promise.all(waits)).toEqual([true, true]);
  expect(room.count).toBe(0);
});

test("nobody waits longer than the bound, nor after the end of the proxy, nor behind 1,024 others", async () => {
  const { room, clock, stop } = setup();
  const late = room.wait("a/web", 5, () => false);
  await clock.advance(5_000);
  expect(await late).toBe(false);
  const many = Array.from({ length: 1_024 }, () => room.wait("a/web", 60, () => false));
  expect(await room.wait("a/web", 60, () => true)).toBe(false);
  stop.abort();
  expect(new Set(await Promise.all(many))).toEqual(new Set([false]));
  expect(await room.wait("a/web", 60, () => true)).toBe(false);
});
