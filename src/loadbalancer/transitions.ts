import type { Clock, Metrics } from "../system/index.ts";

/** Bounds in seconds, from a hand-over to a day. */
const buckets = [0.1, 0.5, 1, 5, 30, 300, 3_600, 86_400];

/** Counts how often things go from one of two states to the other, and how long they were in the one that they leave. */
export interface Transitions {
  /** What there is now, and which of it is in the first state. What is gone is forgotten: that is no transition. */
  look(all: Iterable<string>, inFirst: ReadonlySet<string>): void;
}

/** `PREFIX_transitions_total{to}` and `PREFIX_state_duration_seconds{state}`. `what` is the plural of a thing. */
export function createTransitions(
  metrics: Metrics,
  { prefix, what, states, clock }: { prefix: string; what: string; states: readonly [string, string]; clock: Clock },
): Transitions {
  const count = metrics.counter(`${prefix}_transitions_total`, `How often ${what} went to a state.`, ["to"]);
  const help = `How long ${what} were in a state that they left.`;
  const lasted = metrics.histogram(`${prefix}_state_duration_seconds`, help, ["state"], buckets);
  const known = new Map<string, { state: string; since: number }>();
  // What never happened is a figure too.
  for (const state of states) count(state).inc(0);
  return {
    look(all, inFirst) {
      const now = clock.now();
      const names = new Set(all);
      for (const name of known.keys()) if (!names.has(name)) known.delete(name);
      for (const name of names) {
        const state = states[inFirst.has(name) ? 0 : 1];
        // Everything begins in the second state.
        const before = known.get(name) ?? { state: states[1], since: now };
        known.set(name, before.state === state ? before : { state, since: now });
        if (before.state === state) continue;
        count(state).inc();
        lasted(before.state).observe((now - before.since) / 1000);
      }
    },
  };
}
