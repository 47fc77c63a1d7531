/** Why a list of indexes cannot be read. */
export interface IndexFault {
  readonly error: string;
}

/**
 * The ranges in a list of indexes of an indexed Job, such as `0,3-5`: in ascending order, without overlap, below `completions`.
 * The texts of faults are Kubernetes'.
 */
export function parseIndexes(
  text: string,
  completions: number,
): readonly (readonly [first: number, last: number])[] | IndexFault {
  const ranges: [number, number][] = [];
  if (text === "") return ranges;
  let before: number | undefined;
  for (const part of text.split(",")) {
    const limits = part.split("-");
    if (limits.length > 2)
      return {
        error: `the fragment ${JSON.stringify(part)} violates the requirement that an index interval can have at most two parts separated by '-'`,
      };
    const [first, last = first] = limits.map(indexOf);
    for (const [i, limit] of [first, last].entries()) {
      if (limit === undefined || Number.isNaN(limit)) {
        const shown = JSON.stringify(limits[i] ?? "");
        return { error: `cannot convert string to integer for index: ${shown}` };
      }
      if (limit >= completions) return { error: `too large index: ${JSON.stringify(limits[i] ?? "")}` };
    }
    const [from, to] = [first ?? 0, last ?? 0];
    if (before !== undefined && before >= from)
      return { error: `non-increasing order, previous: ${before}, current: ${from}` };
    if (limits.length === 2 && from >= to) return { error: `non-increasing order, previous: ${from}, current: ${to}` };
    before = to;
    ranges.push([from, to]);
  }
  return ranges;
}

/** How many indexes a list names. */
export function indexCount(text: string, completions: number): number | IndexFault {
  const ranges = parseIndexes(text, completions);
  return "error" in ranges ? ranges : ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

const indexOf = (text: string): number => (/^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN);
