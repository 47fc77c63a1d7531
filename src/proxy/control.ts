import { chmod, rm } from "node:fs/promises";
import { createServer, request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { Clock, Logger } from "../system/index.ts";
import type { ProxyMode } from "./backend.ts";
import type { ServiceConnection } from "./connections.ts";
import type { DrainingEndpoint } from "./draining.ts";

/** What a running proxy says of itself on its control socket. */
export interface ProxyStatus {
  readonly mode: ProxyMode;
  readonly services: number;
  /** Why the rules are not up to date. */
  readonly failure?: string;
  /** Endpoints that were taken out and have connections left. */
  readonly draining: readonly DrainingEndpoint[];
}

/** What can be asked of a running proxy. */
export interface Controlled {
  readonly status: () => Promise<ProxyStatus>;
  readonly connections: () => Promise<readonly ServiceConnection[]>;
  readonly switchTo: (mode: ProxyMode) => Promise<void>;
}

export interface ControlOptions extends Controlled {
  /** Of the Unix socket. Only the user of this process may use it. */
  readonly path: string;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

const retryEvery = 10_000;
const modes: readonly string[] = ["nftables", "iptables", "userspace"] satisfies ProxyMode[];

/**
 * Answers on a Unix socket until the signal aborts: `GET /status`, `GET /connections`, and `POST /switch?to=MODE`, which answers when it is done. A socket that
 * another process answers on is left to it; it is tried again later.
 */
export function serveControl(options: ControlOptions): void {
  const { path, signal, clock, log } = options;
  const server = createServer((message, response) => {
    void answer(options, message).then(([status, body]) => {
      response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(body)}\n`);
    });
  });
  server.maxConnections = 16;
  signal.addEventListener("abort", () => server.close().closeAllConnections(), { once: true });

  async function open(): Promise<void> {
    if (await isAnswered(path)) throw new Error("another proxy answers there");
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

async function answer(
  { status, connections, switchTo }: Controlled,
  { method, url = "" }: IncomingMessage,
): Promise<readonly [number, object]> {
  const { pathname, searchParams } = new URL(url, "http://proxy");
  if (method === "GET" && pathname === "/status") return [200, await status()];
  if (method === "GET" && pathname === "/connections") {
    const service = searchParams.get("service");
    try {
      const all = await connections();
      return [200, service === null ? all : all.filter((one) => one.service === service)];
    } catch (error) {
      return [503, { error: error instanceof Error ? error.message : String(error) }];
    }
  }
  if (method !== "POST" || pathname !== "/switch")
    return [404, { error: "there are GET /status, GET /connections and POST /switch?to=MODE" }];
  const to = searchParams.get("to") ?? "";
  if (!modes.includes(to)) return [400, { error: `there is no mode ${JSON.stringify(to)}: use ${modes.join(", ")}` }];
  try {
    await switchTo(to as ProxyMode);
    return [200, await status()];
  } catch (error) {
    return [409, { ...(await status()), error: error instanceof Error ? error.message : String(error) }];
  }
}

/** Whether a proxy, or something else, answers on this socket; one that was killed leaves its file behind. */
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

/** A running proxy was asked and refused, or there is none. `reached` is false then. */
export class ControlError extends Error {
  readonly code = "PROXY_CONTROL";
  readonly reached: boolean;

  constructor(message: string, reached: boolean, options?: ErrorOptions) {
    super(message, options);
    this.name = "ControlError";
    this.reached = reached;
  }
}

/** Asks the proxy that answers on this socket how it is, or tells it to switch. Throws `ControlError`. */
export function askProxy(path: string, how: { readonly switchTo?: ProxyMode } = {}): Promise<ProxyStatus> {
  return how.switchTo === undefined ? ask(path, "GET", "/status") : ask(path, "POST", `/switch?to=${how.switchTo}`);
}

/** Connections to Services, or to one (`namespace/name`), that go by the proxy on this socket. Throws `ControlError`. */
export function askConnections(path: string, service?: string): Promise<readonly ServiceConnection[]> {
  return ask(
    path,
    "GET",
    service === undefined ? "/connections" : `/connections?service=${encodeURIComponent(service)}`,
  );
}

function ask<T extends object>(path: string, method: string, target: string): Promise<T> {
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
          reject(new ControlError("what answers there is no proxy", false, { cause: error }));
        }
      });
    });
    asked.on("error", (error) => reject(new ControlError(error.message, false, { cause: error })));
    asked.end();
  });
}
