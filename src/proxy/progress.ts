import type { Clock } from "../system/index.ts";

/** Milliseconds that a change may wait to come into force before the proxy counts as unhealthy: kube-proxy's two sync periods. */
const patience = 60_000;

export interface Health {
  readonly healthy: boolean;
  /** Milliseconds since the epoch: now while all is well, else when rules last came into force; undefined: never. */
  readonly lastUpdated: number | undefined;
}

/** Whether a node's rules keep up with the changes. A single failure is no illness: it is tried again. */
export interface Progress {
  /** Something has changed. `settled` is asked for a promise that resolves when all changes so far are in force. */
  changed(settled: () => Promise<void>): void;
  /** Everything is in force for the first time: before it nothing is healthy. */
  begun(): void;
  health(): Health;
}

export function createProgress(clock: Clock): Progress {
  let updated: number | undefined;
  /** When the oldest change came that is waited for, and the oldest that came after it. */
  let oldest: number | undefined;
  let next: number | undefined;

  function follow(settled: () => Promise<void>): void {
    settled().then(
      () => {
        updated = clock.now();
        oldest = next;
        next = undefined;
        if (oldest !== undefined) follow(settled);
      },
      // The proxy has stopped.
      () => {},
    );
  }

  return {
    changed(settled) {
      if (oldest !== undefined) {
        next ??= clock.now();
        return;
      }
      oldest = clock.now();
      follow(settled);
    },
    begun() {
      updated = clock.now();
    },
    health() {
      const now = clock.now();
      const healthy = updated !== undefined && (oldest === undefined || now - oldest < patience);
      return { healthy, lastUpdated: healthy ? now : updated };
    },
  };
}
