import type { Clock, Logger } from "../system/index.ts";

export interface DatapathGuardOptions {
  /** Sends a packet: why it did not come through; undefined when it did. */
  readonly probe: () => Promise<string | undefined>;
  /** Builds all rules anew. Settles when they are in force. */
  readonly repair: () => Promise<void>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Milliseconds between two packets. */
const probeEvery = 500;
/** Milliseconds to wait at most after a repair that did not help: somebody's firewall may drop the packet, and rules are not to blame. */
const longestRest = 60_000;

/**
 * Puts the rules back when packets do not come through any more, whatever has become of them: tables that are deleted are seen by who looks
 * for tables, rules that are flushed out of them only by a packet. One that fails is tried again at once before anything is done.
 */
export async function guardDatapath({ probe, repair, signal, clock, log }: DatapathGuardOptions): Promise<void> {
  let rest = probeEvery;
  while (!signal.aborted) {
    await clock.sleep(rest, signal).catch(() => {});
    if (signal.aborted) return;
    const reason = (await probe()) === undefined ? undefined : await probe();
    if (signal.aborted) return;
    if (reason === undefined) {
      rest = probeEvery;
      continue;
    }
    log.warn({ reason }, "packets do not come through: all rules are put back");
    await repair().catch(() => {});
    rest = Math.min(rest * 2, longestRest);
  }
}
