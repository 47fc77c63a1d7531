import { messageOf } from "../client/index.ts";
import type { Clock, Logger } from "../system/index.ts";

/** Milliseconds between two questions after the health of a node's data plane. */
const healthPause = 1_000;

/** Asks again and again why a node's data plane cannot take traffic; answers what was said last. `changed` is called when it is another. */
export function watchHealth(options: {
  /** Absent: it always can. */
  readonly ask: (() => Promise<string | undefined>) | undefined;
  readonly changed: () => void;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}): () => string | undefined {
  const { ask, changed, signal, clock, log } = options;
  let reason: string | undefined;
  const follow = async (): Promise<void> => {
    while (ask && !signal.aborted) {
      const now = await ask().catch((error: unknown) => messageOf(error));
      if (now !== reason) {
        reason = now;
        log[now === undefined ? "info" : "warn"]({ reason: now }, "the health of this node's data plane has changed");
        changed();
      }
      await clock.sleep(healthPause, signal).catch(() => {});
    }
  };
  void follow();
  return () => reason;
}

/** As plans take it. */
export const unhealthyOf = (reason: string | undefined): { readonly unhealthy?: string } =>
  reason === undefined ? {} : { unhealthy: reason };

/** A pause that a change ends. */
export interface Alarm {
  /** Something has changed since the last `settled`. */
  ring(): void;
  /** Until it rings, or for so many milliseconds; not at all when it has rung since the last `settled`. */
  wait(ms: number): Promise<void>;
  /** What has changed until now is being looked at. */
  settled(): void;
}

/** It has rung at the beginning: there is something to look at. */
export function createAlarm(clock: Clock, signal: AbortSignal): Alarm {
  let rung = true;
  let wake = (): void => {};
  return {
    ring() {
      rung = true;
      wake();
    },
    async wait(ms) {
      if (rung) return;
      const woken = new Promise<void>((resolve) => (wake = resolve));
      await Promise.race([woken, clock.sleep(ms, signal).catch(() => {})]);
    },
    settled: () => void (rung = false),
  };
}
