import { expect, test } from "vitest";
import { FakeClock } from "../system/index.ts";
import { createProgress } from "./progress.ts";

/** Promises that are settled by hand, in order. */
function createSteps() {
  const waiting: (() => void)[] = [];
  return {
    settled: () => new Promise<void>((resolve) => waiting.push(resolve)),
    settle: () => waiting.shift()?.(),
  };
}

test("nothing is healthy before the first state is in force", () => {
  const clock = new FakeClock();
  const progress = createProgress(clock);
  expect(progress.health()).toEqual({ healthy: false, lastUpdated: undefined });
  progress.begun();
  expect(progress.health()).toEqual({ healthy: true, lastUpdated: clock.now() });
});

test("a change that waits for more than a minute makes the proxy unhealthy until it is in force", async () => {
  const clock = new FakeClock();
  const progress = createProgress(clock);
  const steps = createSteps();
  progress.begun();
  const begun = clock.now();
  await clock.advance(1_000);
  progress.changed(steps.settled);
  await clock.advance(59_000);
  expect(progress.health()).toEqual({ healthy: true, lastUpdated: clock.now() });
  await clock.advance(1_000);
  expect(progress.health()).toEqual({ healthy: false, lastUpdated: begun });
  steps.settle();
  await clock.advance(5_000);
  expect(progress.health()).toEqual({ healthy: true, lastUpdated: clock.now() });
});

test("changes that never stop coming, each in force soon, are no delay; one among them that is not, is", async () => {
  const clock = new FakeClock();
  const progress = createProgress(clock);
  const steps = createSteps();
  progress.begun();
  for (let i = 0; i < 20; i++) {
    progress.changed(steps.settled);
    await clock.advance(5_000);
    progress.changed(steps.settled);
    steps.settle();
    await clock.advance(5_000);
    expect(progress.health().healthy).toBe(true);
  }
  await clock.advance(60_000);
  expect(progress.health().healthy).toBe(false);
});
