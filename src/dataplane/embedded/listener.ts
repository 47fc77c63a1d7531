import {
  createServer as createHttp,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import {
  createServer as createHttp2,
  type Http2Server,
  type ServerHttp2Session,
  type ServerOptions as Http2Options,
} from "node:http2";
import { createServer as createTcp, type Server as TcpServer, type Socket } from "node:net";
import { challengeFor, type Listener, matchStream, serverFor } from "../../routing/index.ts";
import type { Logger } from "../../system/index.ts";
import type { BoundListener } from "../dataplane.ts";
import { bindPort, bindTaken, type TakePort } from "./bind.ts";
import { readPreface } from "./preface.ts";
import { readClientHello } from "./client-hello.ts";
import { createFastPath } from "./fast-path/fast-path.ts";
import type { Limits } from "./limits.ts";
import type { SecureContexts } from "./secure-contexts.ts";
import { type EarlierAttempt, serve, serverNameOf, type ProxyContext } from "./proxy.ts";
import { withoutUpgrade } from "./plain-again.ts";
import { forwardStream, reset } from "./stream.ts";
import { createTlsEnds } from "./tls-end.ts";
import { tunnel } from "./tunnel.ts";

/** An open port. */
export interface OpenListener {
  readonly bound: BoundListener;
  /** From now on requests follow this listener; same port and protocol. */
  update(listener: Listener): void;
  /** Takes no new connections, and ends those that it has with their next answer; settles when the last one is done. */
  drain(): Promise<void>;
  /** Takes no new connections; settles when the last one is done, at most `grace` milliseconds later. */
  close(grace: number): Promise<void>;
}

export interface ListenerOptions {
  readonly addresses: readonly string[];
  readonly limits: Limits;
  readonly log: Logger;
  readonly contexts: SecureContexts;
  readonly take?: TakePort;
}

/** Opens a listener's port, or the one `bindPort` falls back to. Never rejects: `bound.error` says what failed. */
export async function openListener(
  context: ProxyContext,
  first: Listener,
  options: ListenerOptions,
): Promise<OpenListener> {
  const { limits, log } = options;
  let listener = first;
  let draining = false;
  /** All of TCP, also those in the middle of a TLS handshake. */
  const sockets = new Set<Socket>();
  /** Those that have said too little yet to know who takes them. */
  const undecided = new Set<Socket>();
  /** Those of HTTP/1.1 with the number of requests under way; undefined before the first. */
  const pending = new Map<Socket, number | undefined>();
  const sessions = new Set<ServerHttp2Session>();
  const entry = { listener: () => listener };
  const http1 = createHttp1();
  /** What was tried before a connection came to `http1`, for its next request. */
  const earlier = new WeakMap<Socket, EarlierAttempt>();
  const fast = createFastPath(context, entry, {
    isDraining: () => draining,
    handOver(socket, attempt) {
      if (attempt) earlier.set(socket, attempt);
      http1.emit("connection", socket);
    },
  });
  const http2 = createHttp2(http2Options(limits));
  serve2(http2);
  const tls = createTlsEnds({
    handshakeTimeout: limits.clientHeaders,
    takers: {
      // One port for both protocols: what the handshake agreed on decides who takes the connection.
      http: (secure) => void (secure.alpnProtocol === "h2" ? http2.emit("connection", secure) : fast.accept(secure)),
      stream: (secure) => forwardStream(context, secure, matchStream(listener, serverNameOf(secure))?.route),
    },
  });
  /** What opens the port on an address. Who takes a connection is seen by how it begins. */
  const createFront = (): TcpServer => {
    const front = createTcp({ allowHalfOpen: true, noDelay: true }, take);
    front.maxConnections = limits.connections;
    return front;
  };
  const take = (socket: Socket): void => {
    // Of all addresses together.
    if (sockets.size >= limits.connections) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      undecided.delete(socket);
    });
    socket.on("error", () => socket.destroy());
    accept(socket);
  };

  const { bound, servers: fronts } = options.take
    ? await bindTaken(createFront, await options.take(first))
    : await bindPort(createFront, first, options.addresses);
  if (bound.error) log.warn({ listener: first.name, wanted: first.port, port: bound.port }, bound.error);

  return {
    bound,
    update(next) {
      listener = next;
    },
    async drain() {
      draining = true;
      const closed = closeFronts();
      for (const session of sessions) session.close();
      await closed;
    },
    close: async (grace) => {
      draining = true;
      http1.close();
      const closed = closeFronts();
      for (const session of sessions) session.close();
      // Node does not count those without a request as idle. Sessions of HTTP/2 have just been told.
      for (const socket of undecided) socket.destroy();
      for (const [socket, requests] of pending) if (requests === undefined) socket.destroy();
      fast.closeIdle();
      const sweep = setInterval(() => {
        http1.closeIdleConnections();
        fast.closeIdle();
      }, 50);
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, grace);
      await closed;
      clearInterval(sweep);
      clearTimeout(timer);
    },
  };

  /** Settles when the last connection is done. */
  async function closeFronts(): Promise<void> {
    const open = fronts.filter((front) => front.listening);
    await Promise.all(open.map((front) => new Promise<void>((resolve) => front.close(() => resolve()))));
  }

  function count(socket: Socket, response: ServerResponse): void {
    pending.set(socket, (pending.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const requests = pending.get(socket);
      if (requests) pending.set(socket, requests - 1);
    });
  }

  function accept(socket: Socket): void {
    if (listener.protocol === "TCP") forwardStream(context, socket, matchStream(listener, "")?.route);
    else if (listener.protocol === "HTTP") {
      undecided.add(socket);
      readPreface(socket, limits.clientHeaders, (is2) => {
        undecided.delete(socket);
        // Over HTTP/2 and TLS an end is the end of both ways.
        socket.allowHalfOpen = !is2;
        if (is2) http2.emit("connection", socket);
        else fast.accept(socket);
      });
    } else {
      undecided.add(socket);
      readClientHello(socket, limits.clientHeaders, (hello) => {
        undecided.delete(socket);
        if (socket.destroyed) return;
        const name = hello?.serverName ?? "";
        const server = hello && serverFor(listener, name);
        const challenge = hello && challengeFor(listener, hello);
        // Who names no server, where each server has a name, is told so after the handshake.
        if (!hello) socket.destroy();
        else if (challenge) forwardStream(context, socket, challenge);
        else if (!server && name !== "") reset(socket);
        else if (server && !server.tls) forwardStream(context, socket, matchStream(listener, name)?.route);
        else {
          socket.allowHalfOpen = false;
          const way = options.contexts.wayFor(listener, name);
          if (way) tls.accept(socket, way, server?.kind ?? "http");
          else reset(socket);
        }
      });
    }
  }

  function createHttp1(): HttpServer {
    const server = createHttp(parserOptions(limits));
    server.maxHeadersCount = 0;
    // It does not listen itself; but from this on node watches over slow clients.
    server.emit("listening");
    server.on("connection", (socket: Socket) => {
      pending.set(socket, undefined);
      socket.once("close", () => pending.delete(socket));
    });
    server.on("request", (request, response) => {
      if (draining) response.shouldKeepAlive = false;
      count(request.socket, response);
      const attempt = earlier.get(request.socket);
      if (attempt) earlier.delete(request.socket);
      serve(context, entry, request, response, undefined, attempt);
    });
    server.on("checkContinue", (request, response) => {
      if (draining) response.shouldKeepAlive = false;
      count(request.socket, response);
      serve(context, entry, request, response, () => {
        if (!response.headersSent) response.writeContinue();
      });
    });
    server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
      pending.delete(socket);
      if (withoutUpgrade(request, socket, head)) server.emit("connection", socket);
      else tunnel(context, entry, request, socket, head);
    });
    // Nobody else would answer: node gives such a connection away, and closes it when nobody takes it.
    server.on("connect", (_request, socket: Socket) => {
      socket.on("error", () => socket.destroy());
      if (pending.get(socket)) socket.destroy();
      else endWith("405 Method Not Allowed", socket);
    });
    server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
      // An answer now would be taken for that of a request before it on the connection.
      if (pending.get(socket)) socket.destroy();
      else answerBadRequest(error, socket);
    });
    return server;
  }

  function serve2(server: Http2Server): void {
    // A turn later: streams that are reset as soon as they are opened (CVE-2023-44487) have ended by then, and cost no endpoint anything.
    server.on("request", (request, response) => {
      const { stream } = response;
      setImmediate(() => {
        if (!stream.destroyed && !stream.closed && !stream.aborted) serve(context, entry, request, response);
      });
    });
    server.on("session", (session) => {
      sessions.add(session);
      session.once("close", () => sessions.delete(session));
      session.setTimeout(limits.clientKeepAlive, () => session.close());
    });
    server.on("sessionError", () => {});
  }
}

function http2Options(limits: Limits): Http2Options {
  return {
    maxHeaderListPairs: 256,
    maxSessionMemory: 10,
    settings: { maxConcurrentStreams: 128, maxHeaderListSize: limits.headerBytes },
  };
}

/** Node's parser in its strict mode: ambiguous messages are refused and not repaired. */
function parserOptions(limits: Limits): ServerOptions {
  return {
    insecureHTTPParser: false,
    requireHostHeader: true,
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.clientHeaders,
    // A long upload is no fault; one that stands still is, and that is watched where the body is read.
    requestTimeout: 0,
    keepAliveTimeout: limits.clientKeepAlive,
    connectionsCheckingInterval: Math.max(50, Math.min(5_000, limits.clientHeaders / 3)),
    noDelay: true,
  };
}

const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};

function answerBadRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  // What is no HTTP, such as a TLS handshake that failed or a reset, has nobody to answer to.
  if (!/^(?:HPE|ERR_HTTP)_/.test(error.code ?? "") || !socket.writable) {
    socket.destroy();
    return;
  }
  endWith(statuses[error.code ?? ""] ?? "400 Bad Request", socket);
  socket.destroySoon();
}

/** The last answer on a connection, written past node's server. */
function endWith(status: string, socket: Socket): void {
  const body = `${status}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}
