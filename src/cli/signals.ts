import type { Logger } from "../system/index.ts";

/** Settles at the first SIGINT or SIGTERM and aborts `stop`; at a second one the process ends at once. */
export function untilSignal(stop: AbortController): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      process.on(name, () => {
        if (stop.signal.aborted) process.exit(130);
        stop.abort(new Error(`stopped by ${name}`));
        resolve();
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
