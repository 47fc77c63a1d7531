import { chmod, rm } from "node:fs/promises";
import { createServer, request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { Clock } from "./clock.ts";
import type { Logger } from "./log.ts";

export interface ControlSocketOptions {
  /** Of the Unix socket. Only the user of this process may use it. */
  readonly path: string;
  /** Status and body, as JSON, of the answer to a request. Never rejects. */
  readonly answer: (request: IncomingMessage) => Promise<readonly [number, object]>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

const retryEvery = 10_000;

/**
 * Answers on a Unix socket until the signal aborts: how a process that runs is asked and told. A socket that another process answers on is left to
 * it; it is tried again later.
 */
export function serveControlSocket({ path, answer, signal, clock, log }: ControlSocketOptions): void {
  const server = createServer((message, response) => {
    void answer(message).then(([status, body]) => {
      response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(body)}\n`);
    });
  });
  server.maxConnections = 16;
  signal.addEventListener("abort", () => server.close().closeAllConnections(), { once: true });

  async function open(): Promise<void> {
    if (await isAnswered(path)) throw new Error("another process answers there");
    await rm(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path }, resolve);
    });
    server.removeAllListeners("error").on("error", () => {});
    await chmod(path, 0o600);
  }

  const run = async (): Promise<void> => {
    for (let told = false; !signal.aborted; told = true) {
      try {
        return await open();
      } catch (error) {
        if (!told)
          log.warn({ path, error: String(error) }, "the control socket cannot be opened; it will be tried again");
      }
      await clock.sleep(retryEvery, signal);
    }
  };
  run().catch(() => {});
}

/** Whether a process answers on this socket; one that was killed leaves its file behind. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const done = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
}

/** A running process was asked and refused, or there is none. `reached` is false then. */
export class ControlError extends Error {
  readonly code = "CONTROL";
  readonly reached: boolean;

  constructor(message: string, reached: boolean, options?: ErrorOptions) {
    super(message, options);
    this.name = "ControlError";
    this.reached = reached;
  }
}

/** Asks the process that answers on this socket. Throws `ControlError`, also for any answer but 200. */
export function askControlSocket<T extends object>(path: string, method: string, target: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: path, method, path: target }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", (error) => reject(new ControlError(error.message, true, { cause: error })));
      response.on("end", () => {
        try {
          const said = JSON.parse(Buffer.concat(parts).toString()) as T & { readonly error?: string };
          if (response.statusCode === 200) resolve(said);
          else reject(new ControlError(said.error ?? `status ${response.statusCode}`, true));
        } catch (error) {
          reject(new ControlError("what answers there speaks another language", false, { cause: error }));
        }
      });
    });
    asked.on("error", (error) => reject(new ControlError(error.message, false, { cause: error })));
    asked.end();
  });
}
