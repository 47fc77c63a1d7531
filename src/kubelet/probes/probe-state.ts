import type { Probe } from "../../kube/index.ts";

/** What a series of probe results amounts to, under the thresholds. */
export interface ProbeState {
  /** The verdict so far; undefined until a threshold is reached for the first time. */
  readonly verdict: boolean | undefined;
  /** The last result and how often it came in a row. */
  readonly last: boolean | undefined;
  readonly streak: number;
}

export const unprobed: ProbeState = { verdict: undefined, last: undefined, streak: 0 };

/** One more result. */
export function observe(state: ProbeState, ok: boolean, probe: Probe): ProbeState {
  const streak = state.last === ok ? state.streak + 1 : 1;
  const threshold = ok ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3);
  return { verdict: streak >= threshold ? ok : state.verdict, last: ok, streak };
}
