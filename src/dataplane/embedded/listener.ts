import { createServer as createHttp, type IncomingMessage, type ServerOptions, type ServerResponse } from "node:http";
import {
  createServer as createHttp2,
  type Http2Server,
  type ServerHttp2Session,
  type ServerOptions as Http2Options,
} from "node:http2";
import { createServer as createHttps, type Server as HttpsServer } from "node:https";
import { createServer as createTcp, type Server, type Socket } from "node:net";
import { createServer as createTls, type Server as TlsServer, type TlsOptions, type TLSSocket } from "node:tls";
import { type Listener, matchStream, serverFor } from "../../routing/index.ts";
import type { Logger } from "../../system/index.ts";
import type { BoundListener } from "../dataplane.ts";
import { bindPort } from "./bind.ts";
import { readPreface } from "./preface.ts";
import { readClientHello } from "./client-hello.ts";
import type { Limits } from "./limits.ts";
import { clientCheckOf, type SecureContexts } from "./secure-contexts.ts";
import { serve, type ProxyContext } from "./proxy.ts";
import { withoutUpgrade } from "./plain-again.ts";
import { forwardStream, reset } from "./stream.ts";
import { tunnel } from "./tunnel.ts";

/** An open port. */
export interface OpenListener {
  readonly bound: BoundListener;
  /** From now on requests follow this listener; same port and protocol. */
  update(listener: Listener): void;
  /** Takes no new connections; settles when the last one is done, at most `grace` milliseconds later. */
  close(grace: number): Promise<void>;
}

export interface ListenerOptions {
  readonly address: string;
  readonly limits: Limits;
  readonly log: Logger;
  readonly contexts: SecureContexts;
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
  /** Those of HTTP/1.1 with the number of requests under way; undefined before the first. */
  const pending = new Map<Socket, number | undefined>();
  const sessions = new Set<ServerHttp2Session>();
  const entry = { listener: () => listener };
  const isSecure = first.protocol === "HTTPS" || first.protocol === "TLS";
  const secure = isSecure ? createSecure() : undefined;
  const secureStreams = first.protocol === "TLS" ? createSecureStreams() : undefined;
  const server = secure ?? createHttp(parserOptions(limits));
  /** What opens the port, where it must be seen first who takes a connection. */
  const front = first.protocol === "HTTPS" ? undefined : createFront();
  const listening: Server = front ?? server;
  /** Cleartext HTTP/2, for clients that know (RFC 9113 section 3.3): those of gRPC do. */
  const plain2 = first.protocol === "HTTP" ? createPlain2() : undefined;
  // Node watches over slow clients from then on.
  if (front) server.emit("listening");
  server.maxHeadersCount = 0;
  listening.maxConnections = limits.connections;

  if (!front) server.on("connection", track);
  server.on(secure ? "secureConnection" : "connection", (socket: Socket) => {
    pending.set(socket, undefined);
    socket.once("close", () => pending.delete(socket));
  });
  server.on("request", (request, response) => {
    if (draining) response.shouldKeepAlive = false;
    count(request.socket, response);
    serve(context, entry, request, response);
  });
  server.on("checkContinue", (request, response) => {
    count(request.socket, response);
    serve(context, entry, request, response, () => {
      if (!response.headersSent) response.writeContinue();
    });
  });
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    pending.delete(socket);
    if (withoutUpgrade(request, socket, head)) server.emit(isSecure ? "secureConnection" : "connection", socket);
    else tunnel(context, entry, request, socket, head);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    // An answer now would be taken for that of a request before it on the connection.
    if (pending.get(socket)) socket.destroy();
    else answerBadRequest(error, socket);
  });

  const bound = await bindPort(listening, first, options.address);
  if (bound.error) log.warn({ listener: first.name, wanted: first.port, port: bound.port }, bound.error);

  return {
    bound,
    update(next) {
      listener = next;
      for (const each of [secure, secureStreams]) {
        each?.setSecureContext(options.contexts.anonymous(next));
        // What node's server asks of the next connection; there is no method for it.
        if (each) Object.assign(each, clientCheckOf(next));
      }
    },
    close: async (grace) => {
      draining = true;
      if (!listening.listening) return;
      if (front) server.close();
      const closed = new Promise<void>((resolve) => listening.close(() => resolve()));
      for (const session of sessions) session.close();
      // Node does not count those without a request as idle. Sessions of HTTP/2 have just been told.
      for (const [socket, requests] of pending)
        if (requests === undefined && !("alpnProtocol" in socket && socket.alpnProtocol === "h2")) socket.destroy();
      const sweep = setInterval(() => server.closeIdleConnections(), 50);
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, grace);
      await closed;
      clearInterval(sweep);
      clearTimeout(timer);
    },
  };

  function count(socket: Socket, response: ServerResponse): void {
    pending.set(socket, (pending.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const requests = pending.get(socket);
      if (requests) pending.set(socket, requests - 1);
    });
  }

  function handshake(): TlsOptions {
    return {
      ...options.contexts.anonymous(first),
      ...clientCheckOf(first),
      handshakeTimeout: limits.clientHeaders,
      SNICallback: (serverName, done) => {
        const context = options.contexts.contextFor(listener, serverName);
        if (context) done(null, context);
        else done(new Error("no listener has this server name"));
      },
    };
  }

  function track(socket: Socket): void {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  }

  /** Takes connections of TCP as they are, and of TLS once their server name is known. */
  function createFront(): Server {
    return createTcp({ allowHalfOpen: true, noDelay: true }, (socket) => {
      track(socket);
      socket.on("error", () => socket.destroy());
      if (first.protocol === "TCP") return forwardStream(context, socket, matchStream(listener, "")?.route);
      if (first.protocol === "HTTP")
        return readPreface(socket, limits.clientHeaders, (is2) => {
          if (!socket.destroyed) (is2 ? plain2 : server)?.emit("connection", socket);
        });
      readClientHello(socket, limits.clientHeaders, (hello) => {
        if (socket.destroyed) return;
        const found = hello && serverFor(listener, hello.serverName);
        if (!hello || !found) reset(socket);
        else if (found.kind === "http") secure?.emit("connection", socket);
        else if (found.tls) secureStreams?.emit("connection", socket);
        else forwardStream(context, socket, matchStream(listener, hello.serverName)?.route);
      });
    });
  }

  function createPlain2(): Http2Server {
    const plain = createHttp2(http2Options(limits));
    serve2(plain);
    return plain;
  }

  function serve2(http2: Http2Server): void {
    http2.on("request", (request, response) => serve(context, entry, request, response));
    http2.on("session", (session) => {
      sessions.add(session);
      session.once("close", () => sessions.delete(session));
      session.setTimeout(limits.clientKeepAlive, () => session.close());
    });
    http2.on("sessionError", () => {});
  }

  /** Ends TLS of what is no HTTP. */
  function createSecureStreams(): TlsServer {
    const streams = createTls(handshake());
    streams.on("secureConnection", (socket) => {
      const name = typeof socket.servername === "string" ? socket.servername : "";
      forwardStream(context, socket, matchStream(listener, name)?.route);
    });
    streams.on("tlsClientError", (_error, socket) => socket.destroy());
    return streams;
  }

  function createSecure(): HttpsServer {
    const secure = createHttps({
      ...parserOptions(limits),
      ...handshake(),
      ALPNProtocols: ["h2", "http/1.1"],
    });
    const http2 = createHttp2(http2Options(limits));
    serve2(http2);
    // One port for both protocols: what the handshake agreed on decides who takes the connection.
    const [http1] = secure.listeners("secureConnection") as ((socket: TLSSocket) => void)[];
    secure.removeAllListeners("secureConnection");
    secure.on("secureConnection", (socket: TLSSocket) => {
      if (socket.alpnProtocol === "h2") http2.emit("connection", socket);
      else http1?.call(secure, socket);
    });
    return secure;
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
  const status = statuses[error.code ?? ""] ?? "400 Bad Request";
  const body = `${status}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
  socket.destroySoon();
}
