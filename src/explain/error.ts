/** What was asked for cannot be explained: it is not there, or it was not said clearly. Stable codes. */
export class ExplainError extends Error {
  readonly code: "BAD_REFERENCE" | "NOT_FOUND" | "NOT_POSSIBLE";
  readonly remedy: string | undefined;

  constructor(code: ExplainError["code"], message: string, remedy?: string) {
    super(message);
    this.name = "ExplainError";
    this.code = code;
    this.remedy = remedy;
  }
}

/** The names that are nearest to what was typed, best first; at most three, and none that is not alike. */
export function nearest(wanted: string, names: Iterable<string>): string[] {
  const limit = Math.max(2, Math.floor(wanted.length / 3));
  return [...new Set(names)]
    .map((name) => ({ name, distance: distance(wanted, name, limit) }))
    .filter(({ distance: far }) => far <= limit)
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, 3)
    .map(({ name }) => name);
}

/** Edits that make one text the other (Levenshtein), or a number above `limit` as soon as it must be more. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((next[j - 1] ?? 0) + 1, (row[j] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    if (Math.min(...next) > limit) return limit + 1;
    row = next;
  }
  return row[b.length] ?? 0;
}
