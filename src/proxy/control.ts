import type { IncomingMessage } from "node:http";
import { askControlSocket, type Clock, type Logger, serveControlSocket } from "../system/index.ts";
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

const modes: readonly string[] = ["nftables", "iptables", "userspace"] satisfies ProxyMode[];

/** Answers `GET /status`, `GET /connections`, and `POST /switch?to=MODE`, which answers when it is done. */
export function serveControl(options: ControlOptions): void {
  serveControlSocket({ ...options, answer: (message) => answer(options, message) });
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

/** Asks the proxy that answers on this socket how it is, or tells it to switch. Throws `ControlError`. */
export function askProxy(path: string, how: { readonly switchTo?: ProxyMode } = {}): Promise<ProxyStatus> {
  return how.switchTo === undefined
    ? askControlSocket(path, "GET", "/status")
    : askControlSocket(path, "POST", `/switch?to=${how.switchTo}`);
}

/** Connections to Services, or to one (`namespace/name`), that go by the proxy on this socket. Throws `ControlError`. */
export function askConnections(path: string, service?: string): Promise<readonly ServiceConnection[]> {
  return askControlSocket(
    path,
    "GET",
    service === undefined ? "/connections" : `/connections?service=${encodeURIComponent(service)}`,
  );
}
