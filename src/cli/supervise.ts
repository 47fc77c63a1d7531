import { setMaxListeners } from "node:events";
import type { Clock, Component, Logger } from "../system/index.ts";

export interface SuperviseOptions {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Milliseconds between two attempts: doubling from the first to the last. */
const backOff = { first: 500, last: 30_000 };

/** A part that ran for so many milliseconds was well: its next death begins the back-off anew. */
const wellAfter = 60_000;

/**
 * Starts a part, and starts it again with back-off whenever it dies, so that one part's fault is not the end of all.
 * `ready` settles when an attempt is ready for the first time. What an attempt left behind is stopped by its own signal.
 */
export function supervise(
  name: string,
  start: (signal: AbortSignal) => Component | Promise<Component>,
  { signal, clock, log }: SuperviseOptions,
): Component {
  let isReady = () => {};
  let neverReady = (_reason: unknown) => {};
  const ready = new Promise<void>((resolve, reject) => {
    isReady = resolve;
    neverReady = reject;
  });
  // Who only stops a part does not wait for it to be ready.
  ready.catch(() => {});

  const attempt = async () => {
    const own = new AbortController();
    // Every part listens many times; that is no leak.
    setMaxListeners(0, own.signal);
    const stop = () => own.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    try {
      const part = await start(own.signal);
      // Whichever of the two fails first is thrown below; the other must not count as unhandled.
      part.stopped.catch(() => {});
      part.ready.catch(() => {});
      await Promise.race([part.ready, part.stopped]);
      isReady();
      await part.stopped;
      if (!signal.aborted) throw new Error(`${name} ended by itself`);
    } finally {
      signal.removeEventListener("abort", stop);
      own.abort();
    }
  };

  const run = async () => {
    let pause = backOff.first;
    while (!signal.aborted) {
      const started = clock.now();
      try {
        await attempt();
      } catch (error) {
        if (signal.aborted) break;
        if (clock.now() - started >= wellAfter) pause = backOff.first;
        log.error({ component: name, error, pause }, `${name} failed and is started again`);
        await clock.sleep(pause, signal).catch(() => {});
        pause = Math.min(pause * 2, backOff.last);
      }
    }
    neverReady(signal.reason);
  };

  return { name, ready, stopped: run() };
}
