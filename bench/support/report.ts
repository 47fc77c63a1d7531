/** One measured figure, and what it is held against: measured in the same run. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: number;
  /** What the baseline is, in two or three words. */
  readonly against?: string;
  /** What it shall be at least, or with `most` at most. */
  readonly goal?: { readonly least: number } | { readonly most: number };
  /** Microseconds of CPU for one operation, of everything that serves it, by all its threads: says more than the clock on a busy machine. */
  readonly cpu?: number | undefined;
}

/** Prints figures as they come: a line of text, or with `json` `{"name","value","unit","baseline","ratio","goal","met","cpuMicroseconds"}`. */
export function createReport(json: boolean): (figure: Figure) => void {
  const round = (number: number) => Number(number.toPrecision(4));
  return ({ name, value, unit, baseline, against = "baseline", goal, cpu }) => {
    const bound = goal && ("least" in goal ? { goal: `>= ${round(goal.least)}` } : { goal: `<= ${round(goal.most)}` });
    const met = goal && { met: "least" in goal ? value >= goal.least : value <= goal.most };
    const held = baseline === undefined ? {} : { baseline: round(baseline), ratio: round(value / baseline), against };
    const spent = cpu === undefined ? {} : { cpuMicroseconds: Math.round(cpu) };
    if (json) console.log(JSON.stringify({ name, value: round(value), unit, ...held, ...bound, ...met, ...spent }));
    else {
      const beside = baseline === undefined ? "" : `   (${against} ${round(baseline)}, x${round(value / baseline)})`;
      const wanted = bound ? `[${bound.goal}${met?.met ? "" : ": not met"}]` : "";
      const used = cpu === undefined ? "" : `   ${Math.round(cpu)} us CPU`;
      console.log(
        `${name.padEnd(46)} ${String(round(value)).padStart(9)} ${unit.padEnd(4)} ${wanted.padEnd(20)}${beside}${used}`,
      );
    }
  };
}

/** The value that the part `q` (0 to 1) of all figures does not exceed. */
export function quantile(figures: readonly number[], q: number): number {
  const sorted = figures.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export const median = (figures: readonly number[]): number => quantile(figures, 0.5);
