import type { Figure } from "../report.ts";

/** One thing that is measured by itself. */
export interface Part {
  readonly name: string;
  /** `runs`: how often it is done; less often where one run says it all. */
  readonly run: (tell: (figure: Figure) => void, runs: number) => Promise<void>;
}

/** The value that the part `part` (0 to 1) of all does not exceed: of 20 values, 0.95 gives the second largest. */
export const percentile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * part) - 1)] ?? Number.NaN;
