import type { Clock } from "../../system/index.ts";
import type { Server } from "./target.ts";

/** A frontend that is open or tries to be. */
export interface Listener {
  /** The port that answers; undefined while none does. */
  readonly actualPort: number | undefined;
  /** Why it does not answer (yet). */
  readonly problem: string | undefined;
  /** Resolves when the first attempt to open it has ended, well or not. */
  readonly tried: Promise<void>;
  refresh(): void;
  close(): void;
}

/** Added to a port that this process may not open; then 80 answers on 8080, 443 on 8443, 53 on 8053. */
export const unprivilegedOffset = 8_000;
const firstRetry = 500;
const longestRetry = 10_000;
/** Turns of the event loop for which a place that is taken is tried again at once. */
const turns = 5;

/**
 * Opens `address:port` and keeps trying while that is not possible. Without the right to open a port below 1024 it opens
 * the port 8000 higher.
 */
export function createListener(options: {
  readonly address: string;
  readonly port: number;
  /** Opens a socket there; rejects with the system's error. */
  readonly open: (where: { readonly address: string; readonly port: number }) => Promise<Server>;
  readonly report: (problem: string) => void;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}): Listener {
  const { address, port, open, report, signal, clock } = options;
  const closing = new AbortController();
  let server: Server | undefined;
  let actualPort: number | undefined;
  let problem: string | undefined;
  let tried: () => void = () => {};
  const firstTry = new Promise<void>((resolve) => (tried = resolve));

  async function openAt(number: number): Promise<void> {
    const opened = await open({ address, port: number });
    if (closing.signal.aborted || signal.aborted) return opened.close();
    server = opened;
    actualPort = number;
    problem = undefined;
  }

  async function run(): Promise<void> {
    const until = AbortSignal.any([signal, closing.signal]);
    let retry = firstRetry;
    let patience = turns;
    while (!until.aborted && !server) {
      try {
        await openAt(port).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== "EACCES" || port >= 1024) throw error;
          return openAt(port + unprivilegedOffset);
        });
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? String(error);
        // One that was closed while it opened may have the place for a moment yet.
        if (code === "EADDRINUSE" && patience-- > 0) {
          await new Promise((resolve) => setImmediate(resolve));
          continue;
        }
        if (problem === undefined) report(`${address}:${port} cannot be opened: ${code}`);
        problem = wordsFor[code] ?? code;
        tried();
        await clock.sleep(retry, until).catch(() => {});
        retry = Math.min(retry * 2, longestRetry);
      }
    }
    tried();
  }
  void run();

  return {
    get actualPort() {
      return actualPort;
    },
    get problem() {
      return problem;
    },
    tried: firstTry,
    refresh: () => server?.refresh(),
    close() {
      closing.abort();
      server?.close();
    },
  };
}

const wordsFor: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program uses this address and port",
  EADDRNOTAVAIL: "the address is not on this machine (--service-cidr makes those of cluster IPs its own)",
  EACCES: "this user may not open this port",
  EMFILE: "too many open files",
};
