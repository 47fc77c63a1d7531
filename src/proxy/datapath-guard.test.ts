import { expect, test } from "vitest";
import { FakeClock, silentLogger } from "../system/index.ts";
import { guardDatapath } from "./datapath-guard.ts";

function guard(answers: (string | undefined)[]) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const repairs: number[] = [];
  const ended = guardDatapath({
    probe: async () => answers.shift(),
    repair: async () => void repairs.push(clock.now()),
    signal: stop.signal,
    clock,
    log: silentLogger,
  });
  return { clock, stop, repairs, ended };
}

test("rules are put back when two packets in a row are lost, and not for one", async () => {
  const { clock, stop, repairs, ended } = guard([undefined, "lost", undefined, "lost", "lost"]);
  const start = clock.now();
  for (let i = 0; i < 20; i++) await clock.advance(100);
  expect(repairs).toEqual([start + 1_500]);
  stop.abort();
  await ended;
});

test("where that does not help it is done ever less often, and at once again when packets have come through", async () => {
  const { clock, stop, repairs, ended } = guard([
    ...Array.from({ length: 6 }, () => "lost"),
    undefined,
    "lost",
    "lost",
  ]);
  const start = clock.now();
  for (let i = 0; i < 100; i++) await clock.advance(100);
  expect(repairs.map((at) => at - start)).toEqual([500, 1_500, 3_500, 8_000]);
  stop.abort();
  await ended;
});
