import type { Clock } from "../system/index.ts";

export interface BackOffOptions {
  /** Milliseconds after the first failure. */
  readonly first: number;
  /** Never more milliseconds than this. */
  readonly most: number;
}

/** Milliseconds to wait after the `failures`-th failure in a row (1, 2, ...): doubling, up to `most`. */
export function backOffOf(failures: number, { first, most }: BackOffOptions): number {
  return Math.min(most, first * 2 ** Math.min(failures - 1, 40));
}

/**
 * Waits as `backOffOf` says, less a random part of up to half, so that many who failed together don't come back together.
 * Rejects with the signal's reason when it aborts.
 */
export async function backOff(
  clock: Clock,
  failures: number,
  options: BackOffOptions,
  signal: AbortSignal,
): Promise<void> {
  await clock.sleep(backOffOf(failures, options) * (1 - Math.random() / 2), signal);
}
