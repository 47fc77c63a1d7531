import { expect, test } from "vitest";
import { createMetrics, type Clock } from "../system/index.ts";
import { createTransitions } from "./transitions.ts";

test("transitions are counted by where they go, with how long the state before had lasted", async () => {
  let now = 1_000;
  const clock: Clock = { now: () => now, sleep: () => Promise.resolve() };
  const metrics = createMetrics();
  const transitions = createTransitions(metrics, { prefix: "x", what: "groups", states: ["held", "standby"], clock });
  const figures = async () => (await metrics.text()).split("\n").filter((line) => /^x_.*(total|sum|count)/.test(line));
  expect(await figures()).toEqual(['x_transitions_total{to="held"} 0', 'x_transitions_total{to="standby"} 0']);
  transitions.look(["a", "b"], new Set());
  now += 2_000;
  transitions.look(["a", "b"], new Set(["a"]));
  now += 3_000;
  transitions.look(["a", "b"], new Set(["a"]));
  transitions.look(["a", "b"], new Set(["b"]));
  // One that is gone has not gone to another state, and begins anew when it comes again.
  transitions.look(["b"], new Set(["b"]));
  now += 60_000;
  transitions.look(["a", "b"], new Set(["a", "b"]));
  expect(await figures()).toEqual([
    'x_transitions_total{to="held"} 3',
    'x_transitions_total{to="standby"} 1',
    'x_state_duration_seconds_sum{state="standby"} 7',
    'x_state_duration_seconds_count{state="standby"} 3',
    'x_state_duration_seconds_sum{state="held"} 3',
    'x_state_duration_seconds_count{state="held"} 1',
  ]);
});
