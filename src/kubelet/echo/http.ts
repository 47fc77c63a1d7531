import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocketServer } from "ws";
import type { EchoSettings } from "./settings.ts";

export interface EchoHttp {
  readonly server: Server;
  /** From now on every answer asks to close the connection, and `/readyz` fails. */
  drain(): void;
  /** Stops accepting; settles when the requests in flight are answered. Streams and WebSockets are ended. */
  finish(): Promise<void>;
}

const longestDelay = 600_000;
const mostBytes = 1 << 30;
const mostEvents = 1_000_000;

/** An HTTP server that answers with what it was asked. `log` gets one line a request. */
export function createEchoHttp(settings: EchoSettings, log: (line: string) => void): EchoHttp {
  const ending = new AbortController();
  let draining = false;
  let sockets: WebSocketServer | undefined;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://echo");
    response.on("finish", () => {
      log(`${request.method} ${request.url} ${response.statusCode}`);
      // A client that keeps its connection would hold up the end.
      if (ending.signal.aborted) setImmediate(() => server.closeIdleConnections());
    });
    const bodyLength = await drainBody(request);
    await pause(bounded(url, "delay", 0, longestDelay), response);
    if (response.destroyed) return;
    if (draining) response.setHeader("connection", "close");
    const status = bounded(url, "status", 200, 599);
    response.statusCode = status < 200 ? 200 : status;
    if (url.pathname === "/stream") return stream(url, response, ending.signal);
    if (url.searchParams.has("bytes")) return filler(bounded(url, "bytes", 0, mostBytes), response);
    if (url.pathname === "/healthz" || url.pathname === "/readyz") {
      const ok = !draining || url.pathname === "/healthz";
      if (!ok) response.statusCode = 503;
      response.setHeader("content-type", "text/plain");
      response.end(ok ? "ok\n" : "draining\n");
      return;
    }
    const { localAddress, localPort, remoteAddress, remotePort } = request.socket;
    const body = {
      pod: settings.pod.name,
      namespace: settings.pod.namespace,
      node: settings.pod.node,
      address: settings.pod.address || localAddress,
      port: localPort,
      client: `${remoteAddress}:${remotePort}`,
      method: request.method,
      path: request.url,
      httpVersion: request.httpVersion,
      headers: request.headers,
      bodyLength,
    };
    response.setHeader("content-type", "application/json");
    response.end(`${JSON.stringify(body, undefined, 2)}\n`);
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  // Longer than proxies keep idle connections, so that it is never the server that closes one just being used.
  server.keepAliveTimeout = 75_000;
  server.requestTimeout = 0;

  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgrade(request, socket, head).catch(() => socket.destroy());
  });

  const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const { WebSocketServer } = await import("ws");
    sockets ??= new WebSocketServer({ noServer: true, maxPayload: 16 << 20 });
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      log(`WEBSOCKET ${request.url} 101`);
      webSocket.on("error", () => {});
      webSocket.on("message", (data, isBinary) => webSocket.send(data, { binary: isBinary }));
    });
  };

  return {
    server,
    drain: () => void (draining = true),
    finish: () =>
      new Promise((resolve) => {
        draining = true;
        ending.abort();
        for (const webSocket of sockets?.clients ?? []) webSocket.close(1001, "going away");
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}

function bounded(url: URL, name: string, fallback: number, most: number): number {
  const value = Number(url.searchParams.get(name) ?? fallback);
  return Number.isFinite(value) ? Math.min(Math.max(Math.trunc(value), 0), most) : fallback;
}

async function drainBody(request: IncomingMessage): Promise<number> {
  let length = 0;
  for await (const chunk of request) length += (chunk as Buffer).length;
  return length;
}

function pause(ms: number, response: ServerResponse): Promise<void> {
  if (ms === 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    response.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Server-sent events: `count` of them, one every `interval` milliseconds. */
async function stream(url: URL, response: ServerResponse, ending: AbortSignal): Promise<void> {
  const count = bounded(url, "count", 10, mostEvents);
  const interval = bounded(url, "interval", 1000, longestDelay);
  response.setHeader("content-type", "text/event-stream");
  response.setHeader("cache-control", "no-cache");
  for (let i = 0; i < count && !response.destroyed && !ending.aborted; i++) {
    if (i > 0) await pause(interval, response);
    await written(response, `id: ${i}\ndata: ${i + 1}/${count}\n\n`);
  }
  response.end();
}

async function filler(bytes: number, response: ServerResponse): Promise<void> {
  const block = Buffer.alloc(64 << 10, "x");
  response.setHeader("content-type", "application/octet-stream");
  response.setHeader("content-length", bytes);
  for (let left = bytes; left > 0 && !response.destroyed; left -= block.length) {
    await written(response, block.subarray(0, left));
  }
  response.end();
}

function written(response: ServerResponse, data: string | Buffer): Promise<void> {
  if (response.destroyed || response.write(data)) return Promise.resolve();
  return new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go).off("close", go);
      resolve();
    };
    response.on("drain", go).on("close", go);
  });
}
