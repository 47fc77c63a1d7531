import type { Clock } from "../system/index.ts";

/** After a translation there is rest for so many times what it took: a storm of changes is translated in few steps. */
const restFactor = 2;
/** Milliseconds: but never longer, or one long translation would hold up a single change after it. */
const longestRest = 50;

/** When the next translation may begin. */
export interface Pace {
  /** Milliseconds from now. */
  wait(): number;
  /** A translation has kept the thread busy for so many milliseconds. */
  spent(ms: number): void;
}

export function createPace(clock: Clock): Pace {
  let restUntil = 0;
  return {
    wait: () => Math.max(0, restUntil - clock.now()),
    spent: (ms) => void (restUntil = clock.now() + Math.min(longestRest, ms * restFactor)),
  };
}
