import type { Logger } from "../system/index.ts";

/**
 * At the first SIGINT or SIGTERM `drain` is called, and when it has settled `stop` is aborted; then the promise settles. At a second one the
 * process ends at once.
 */
export function untilSignal(
  stop: AbortController,
  drain: () => Promise<void> | undefined = () => undefined,
): Promise<void> {
  return new Promise((resolve) => {
    let ending = false;
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      process.on(name, () => {
        if (ending) process.exit(130);
        ending = true;
        const end = (): void => {
          stop.abort(new Error(`stopped by ${name}`));
          resolve();
        };
        // Where there is nothing to drain yet, it ends at once.
        const draining = drain();
        if (draining) void draining.then(end, end);
        else end();
      });
    }
    // A terminal that closes must not take the cluster down half-way.
    process.on("SIGHUP", () => {});
  });
}

/** One part's slip must not end all the others: it is logged, and the part's own supervision deals with it. */
export function surviveFaults(log: Logger): void {
  process.on("unhandledRejection", (error) => log.error({ error }, "a failure that nobody handled"));
  process.on("uncaughtException", (error) => log.error({ error }, "an error that nobody caught"));
}
