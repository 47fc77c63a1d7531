/** Milliseconds after the first failure until another pod is made, and at most, as each failure doubles them. */
const first = 10_000;
const most = 600_000;

/** Milliseconds that are left of the pause after `failures` failures in a row, the last of them at `last`. */
export function pauseLeft(failures: number, last: number, now: number): number {
  if (failures === 0) return 0;
  return Math.max(0, last + Math.min(most, first * 2 ** Math.min(failures - 1, 20)) - now);
}

/** The failures of a Job since its last success. */
export interface FailureRecord {
  readonly failures: number;
  readonly last: number;
}

/** The record with pods that have ended meanwhile, in the order in which they ended. */
export function withEnds(
  record: FailureRecord,
  ends: readonly { readonly at: number; readonly failed: boolean }[],
): FailureRecord {
  return [...ends]
    .sort((a, b) => a.at - b.at)
    .reduce(
      (found, { at, failed }) => (failed ? { failures: found.failures + 1, last: at } : { ...found, failures: 0 }),
      record,
    );
}
