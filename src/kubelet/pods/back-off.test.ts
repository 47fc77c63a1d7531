import { expect, test } from "vitest";
import { createRestartBackOff } from "./back-off.ts";

test("createRestartBackOff: the first restart is at once, then 10 s doubling to 5 minutes", () => {
  let now = 1_000_000;
  const backOff = createRestartBackOff(() => now);
  expect(backOff.remaining("pod/web", now)).toBe(0);
  const delays: number[] = [];
  for (let i = 0; i < 8; i++) {
    backOff.restarted("pod/web", now);
    delays.push(backOff.remaining("pod/web", now));
    now += backOff.remaining("pod/web", now);
  }
  expect(delays).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]);
});

test("createRestartBackOff: ten calm minutes begin anew", () => {
  let now = 1_000_000;
  const backOff = createRestartBackOff(() => now);
  backOff.restarted("pod/web", now);
  backOff.restarted("pod/web", now);
  now += 600_001;
  expect(backOff.remaining("pod/web", now)).toBe(0);
  backOff.restarted("pod/web", now);
  expect(backOff.delay("pod/web")).toBe(10_000);
});

test("createRestartBackOff: forget drops a pod's keys only", () => {
  const backOff = createRestartBackOff(() => 0);
  backOff.restarted("a/web", 0);
  backOff.restarted("b/web", 0);
  backOff.forget("a/");
  expect([backOff.delay("a/web"), backOff.delay("b/web")]).toEqual([0, 10_000]);
});
