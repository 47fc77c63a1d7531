/** One measured figure, and what it is held against: measured in the same run. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: number;
  /** What the baseline is, in two or three words. */
  readonly against?: string;
}

/** Prints figures as they come: a line of text, or with `json` `{"name","value","unit","baseline","ratio"}`. */
export function createReport(json: boolean): (figure: Figure) => void {
  const round = (number: number) => Number(number.toPrecision(4));
  return ({ name, value, unit, baseline, against = "baseline" }) => {
    const held = baseline === undefined ? {} : { baseline: round(baseline), ratio: round(value / baseline), against };
    if (json) console.log(JSON.stringify({ name, value: round(value), unit, ...held }));
    else {
      const beside = baseline === undefined ? "" : `   (${against} ${round(baseline)}, x${round(value / baseline)})`;
      console.log(`${name.padEnd(46)} ${String(round(value)).padStart(9)} ${unit}${beside}`);
    }
  };
}

/** The value that the part `q` (0 to 1) of all figures does not exceed. */
export function quantile(figures: readonly number[], q: number): number {
  const sorted = figures.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export const median = (figures: readonly number[]): number => quantile(figures, 0.5);
