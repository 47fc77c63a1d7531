import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import {
  createSecureServer,
  createServer as createHttp2,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import type { Duplex } from "node:stream";
import type { WebSocketServer } from "ws";
import type { TLSSocket } from "node:tls";
import type { EchoBasicSettings } from "./settings.ts";
import { tlsFacts } from "./tls-facts.ts";

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** Requests that are counted for `/retry/`, at most. */
const mostCounted = 10_000;
const longestDelay = 600_000;

/** Serves HTTP, cleartext HTTP/2 and, with a certificate, HTTPS. */
export function serveHttp(
  settings: EchoBasicSettings,
  say: (line: string) => void,
  fail: (error: Error) => void,
): void {
  const { address, httpPort, h2cPort, tlsPort, certificate, key, clientAuthorities } = settings;
  const failures = new Map<string, number>();
  const handle = (request: Request, response: Response): void => {
    answer(request, response).catch(() => response.destroy());
  };

  const http = createServer(handle as RequestListener);
  http.keepAliveTimeout = 75_000;
  http.requestTimeout = 0;
  http.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgrade(request, socket, head).catch(() => socket.destroy());
  });
  http.on("error", fail).listen(httpPort, address, () => say(`Starting server, listening on port ${httpPort} (http)`));

  const h2c = createHttp2(handle);
  h2c.on("sessionError", () => {});
  h2c.on("error", fail).listen(h2cPort, address, () => say(`Starting server, listening on port ${h2cPort} (h2c)`));

  if (certificate && key) {
    const https = createSecureServer(
      {
        cert: readFileSync(certificate),
        key: readFileSync(key),
        allowHTTP1: true,
        ...(clientAuthorities
          ? { ca: readFileSync(clientAuthorities), requestCert: true, rejectUnauthorized: false }
          : {}),
      },
      handle,
    );
    // A certificate need not be shown; but one that is shown must be good.
    https.on("secureConnection", (socket: TLSSocket) => {
      if (clientAuthorities && !socket.authorized && socket.getPeerCertificate().raw) socket.destroy();
    });
    https.on("sessionError", () => {});
    https
      .on("error", fail)
      .listen(tlsPort, address, () => say(`Starting server, listening on port ${tlsPort} (https)`));
  }

  async function answer(request: Request, response: Response): Promise<void> {
    const url = new URL(request.url ?? "/", "http://echo");
    const path = url.pathname.replaceAll("//", "/");
    request.resume();
    if (path === "/health") return void response.end("OK");
    if (path.startsWith("/status/")) {
      const code = /^\/status\/(\d{3})$/.exec(request.url ?? "")?.[1];
      response.statusCode = code && Number(code) >= 200 && Number(code) < 600 ? Number(code) : 400;
      return void response.end();
    }
    if (path.startsWith("/retry/") && !(await succeeds(url, request, response))) return;
    await echo(url, request, response);
  }

  /** Fails so many times for one `uuid`: by a reset, or with the status that is asked for. */
  async function succeeds(url: URL, request: Request, response: Response): Promise<boolean> {
    const uuid = url.searchParams.get("uuid");
    const after = Number(url.searchParams.get("succeedAfter") ?? Number.NaN);
    if (!uuid || !Number.isInteger(after)) {
      response.statusCode = 400;
      response.end(uuid ? "succeedAfter is required" : "uuid is required");
      return false;
    }
    const failed = failures.get(uuid) ?? 0;
    if (failed >= after) return true;
    if (failures.size >= mostCounted) failures.clear();
    failures.set(uuid, failed + 1);
    await pause(url.searchParams.get("delayRetry"));
    const code = Number(url.searchParams.get("responseCode"));
    if (code) {
      response.statusCode = code;
      response.end();
    } else if ("resetAndDestroy" in request.socket) request.socket.resetAndDestroy();
    return false;
  }

  async function echo(url: URL, request: Request, response: Response): Promise<void> {
    say(
      `Echoing back request made to ${request.url} to client (${request.socket.remoteAddress}:${request.socket.remotePort})`,
    );
    await pause(url.searchParams.get("delay"));
    const host = "authority" in request && request.authority ? request.authority : (request.headers.host ?? "");
    const socket = request.socket as Partial<TLSSocket>;
    for (const [name, value] of fieldsToSet(request)) response.setHeader(name, value);
    response.setHeader("Content-Type", "application/json");
    response.setHeader("X-Content-Type-Options", "nosniff");
    const body = {
      path: request.url,
      host,
      method: request.method,
      proto: request.httpVersionMajor === 2 ? "HTTP/2.0" : `HTTP/${request.httpVersion}`,
      headers: headersOf(request.rawHeaders),
      httpPort: String(httpPort),
      ...settings.pod,
      ...(socket.encrypted ? { tls: tlsFacts(tlsSocketOf(request)) } : {}),
    };
    (response as ServerResponse).end(JSON.stringify(body, undefined, 1));
  }

  let sockets: WebSocketServer | undefined;
  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { WebSocketServer } = await import("ws");
    sockets ??= new WebSocketServer({ noServer: true, maxPayload: 16 << 20 });
    if (new URL(request.url ?? "/", "http://echo").pathname !== "/ws") return void socket.destroy();
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      say(`established websocket connection ${request.socket.remoteAddress}`);
      webSocket.on("error", () => {});
      webSocket.on("message", (data, isBinary) => webSocket.send(data, { binary: isBinary }));
    });
  }
}

function tlsSocketOf(request: Request): TLSSocket {
  return ("stream" in request ? (request.stream.session?.socket ?? request.socket) : request.socket) as TLSSocket;
}

/** Names as Go writes them: `X-Forwarded-For`. */
function headersOf(raw: readonly string[]): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    if (name.startsWith(":") || name.toLowerCase() === "host") continue;
    const canonical = name.toLowerCase().replace(/(?:^|-)[a-z]/g, (start) => start.toUpperCase());
    (headers[canonical] ??= []).push(raw[i + 1] as string);
  }
  return headers;
}

/** `X-Echo-Set-Header: name:value, name:value` asks for fields of the answer. */
function fieldsToSet(request: Request): Map<string, string> {
  const fields = new Map<string, string>();
  const asked = request.headers["x-echo-set-header"];
  for (const pair of (typeof asked === "string" ? asked : (asked ?? []).join(",")).split(",")) {
    const [name = "", ...rest] = pair.trim().split(":");
    const value = rest.join(":");
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) continue;
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before},${value.trim()}`);
  }
  return fields;
}

const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Waits for a duration in Go's notation: `1.5s`, `300ms`. */
async function pause(duration: string | null): Promise<void> {
  let ms = 0;
  for (const [, number = "0", unit = "s"] of (duration ?? "").matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g))
    ms += Number(number) * (units[unit] ?? 0);
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, Math.min(ms, longestDelay)));
}
