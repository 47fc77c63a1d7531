import { expect, test } from "vitest";
import { createMetrics, FakeClock } from "../../system/index.ts";
import { ProviderFailure, type ProviderStep, type StepResult } from "./contract.ts";
import { createFakeCloud } from "./fake-provider.ts";
import { withFigures } from "./figures.ts";

test("calls are counted by what came of them, and how long they took", async () => {
  const { signal } = new AbortController();
  const clock = new FakeClock();
  const metrics = createMetrics();
  const results: (() => StepResult)[] = [
    () => ({ state: "done" }),
    () => ({ state: "pending", message: "soon", again: 5 }),
    () => ({ state: "failed", reason: "Throttled", message: "slow down" }),
    () => {
      throw new Error("a fault of its own");
    },
  ];
  const provider = withFigures(
    {
      ...createFakeCloud().provider(),
      name: "some",
      observe: () => Promise.reject(new ProviderFailure("Credentials", "who is that")),
      apply: async () => {
        await clock.advance(2000);
        return (results.shift() as () => StepResult)();
      },
    },
    metrics,
    clock,
  );
  const step: ProviderStep = { summary: "do it", input: {} };
  for (let i = 0; i < 3; i++) await provider.apply(step, signal);
  await expect(provider.apply(step, signal)).rejects.toThrow("a fault of its own");
  await expect(provider.observe({ cluster: "c", namespace: "n", name: "s", uid: "u" }, signal)).rejects.toThrow("who");
  expect(await provider.list("c", signal)).toEqual([]);
  const text = await metrics.text();
  const count = (call: string, outcome: string) =>
    `fairlead_provider_call_duration_seconds_count{provider="some",call="${call}",outcome="${outcome}"} 1\n`;
  for (const outcome of ["done", "pending", "Throttled", "error"]) expect(text).toContain(count("apply", outcome));
  expect(text).toContain(count("observe", "Credentials"));
  expect(text).toContain(count("list", "done"));
  expect(text).toContain(`call="apply",outcome="done",le="1"} 0\n`);
  expect(text).toContain(`call="apply",outcome="done",le="2.5"} 1\n`);
});
