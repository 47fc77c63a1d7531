import type { IncomingMessage, ServerResponse } from "node:http";
import {
  createSecureServer,
  type IncomingHttpHeaders as Http2Headers,
  type Http2Session,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { createMetrics, type Logger, type Metrics, whenAborted } from "../../system/index.ts";
import { createAuthenticator, type Authenticator } from "../authentication/index.ts";
import type { ApiHandler } from "../handler.ts";
import { http1Arrival, http2Arrival } from "./arrival.ts";
import { exchange } from "./exchange.ts";
import { createServingFigures } from "./figures.ts";
import { createCertificateReader } from "./identity.ts";
import { beginUpgrade } from "./upgrade.ts";

export interface ServeOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Server certificate and key, PEM. */
  readonly cert: string;
  readonly key: string;
  /** Authority that client certificates must be signed by, PEM. */
  readonly clientCa: string;
  /** Authority that the certificates of front proxies must be signed by, PEM. Absent: there are none. */
  readonly frontProxyCa?: string;
  /** Says who clients are. Absent: only client certificates count. */
  readonly authenticator?: Authenticator;
  /** Told of handshakes, of how long authentication takes, and of certificates that are about to end. */
  readonly metrics?: Metrics;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

export interface Served {
  readonly host: string;
  readonly port: number;
  /** Takes no further connections, and tells clients on the present ones to go elsewhere. What is under way goes on. */
  drain(): void;
  /** Settles when the last connection has ended after the signal. */
  readonly stopped: Promise<void>;
}

/** The server could not begin to listen. The message is one line for the user. */
export class ServeError extends Error {
  readonly code: "PORT_IN_USE" | "NOT_PERMITTED" | "ADDRESS";

  constructor(code: ServeError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ServeError";
    this.code = code;
  }
}

/** Milliseconds that a handshake may take. */
const handshakeTime = 10_000;
/** Milliseconds that requests have to end after the signal. */
const grace = 1_000;
/** Milliseconds that an HTTP/2 connection may stay without a stream. */
const idleTime = 300_000;
/** Connections at once. */
const mostConnections = 10_000;
/** Streams one HTTP/2 connection may have at once, as upstream. */
const mostStreams = 250;
/** Bytes of all headers of a request, as Go's servers take: tokens with many groups are long. */
const mostHeaders = 1 << 20;
/** Headers of a request over HTTP/2: who acts for a user of many groups sends one for each. */
const mostHeaderPairs = 2_000;

/**
 * Serves the API over TLS, HTTP/1.1 and HTTP/2. Client certificates are asked for but not needed: who shows none is anonymous.
 * Throws ServeError when it can not listen.
 */
export async function serveHttps(handler: ApiHandler, options: ServeOptions): Promise<Served> {
  const { host, port, cert, key, clientCa, frontProxyCa, signal, log } = options;
  const { authenticator = createAuthenticator(), metrics = createMetrics() } = options;
  const figures = createServingFigures(metrics);
  const certificateOf = createCertificateReader({ clientCa, frontProxyCa });
  const server = createSecureServer({
    cert,
    key,
    ca: frontProxyCa === undefined ? clientCa : [clientCa, frontProxyCa],
    requestCert: true,
    rejectUnauthorized: false,
    allowHTTP1: true,
    handshakeTimeout: handshakeTime,
    minVersion: "TLSv1.2",
    // An event of a watch does not wait until the one before it is acknowledged (RFC 9293, 3.7.4).
    noDelay: true,
    maxSessionMemory: 64,
    // Twice as many are read, so that who sends too many gets an answer.
    maxHeaderListPairs: 2 * mostHeaderPairs,
    settings: { maxConcurrentStreams: mostStreams, initialWindowSize: 1 << 20, maxHeaderListSize: mostHeaders },
  });
  // What serves HTTP/1.1 beside HTTP/2 has no option for it.
  Object.assign(server, { maxHeaderSize: mostHeaders });
  server.maxConnections = mostConnections;
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  /** Streams under way. */
  const open = new WeakMap<Http2Session, number>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // Connections that break are their clients' matter.
    socket.on("error", () => {});
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => {});
    closeWhenIdle(session, () => open.get(session) ?? 0);
  });
  server.on("tlsClientError", (error) => {
    figures.handshakeFailed();
    log.debug({ error: String(error) }, "TLS handshake failed");
  });
  let closing = false;
  /** Connections of HTTP/1.1, and those of them with a request under way. */
  const plain = new Set<TLSSocket>();
  const busy = new Set<TLSSocket>();
  server.on("secureConnection", (socket: TLSSocket) => {
    if (socket.alpnProtocol === "h2") return;
    plain.add(socket);
    socket.on("close", () => {
      plain.delete(socket);
      busy.delete(socket);
    });
  });
  const parts = { handler, authenticator, certificateOf, figures, log, closing: () => closing };
  server.on("request", (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const socket = incoming.socket as TLSSocket;
    busy.add(socket);
    void exchange(parts, http1Arrival(incoming, outgoing)).then(() => {
      if (!busy.delete(socket) || !closing) return;
      // Ends when what is written has gone out.
      socket.end();
    });
  });
  // Who listens for requests gets those of HTTP/2 as well, by a listener of Node's own that makes them look like HTTP/1.1.
  server.removeAllListeners("stream");
  const onStream = (stream: ServerHttp2Stream, headers: Http2Headers, flags: number, rawHeaders: string[]): void => {
    const { session } = stream;
    if (session) {
      open.set(session, (open.get(session) ?? 0) + 1);
      stream.on("close", () => open.set(session, (open.get(session) ?? 1) - 1));
    }
    if (rawHeaders.length > 2 * mostHeaderPairs) {
      stream.on("error", () => {});
      stream.respond({ ":status": 431 }, { endStream: true });
      return;
    }
    void exchange(parts, http2Arrival(stream, headers, flags, rawHeaders));
  };
  server.on("stream", onStream);
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    plain.delete(socket as TLSSocket);
    const { outgoing, upgrade } = beginUpgrade(incoming, socket, head);
    void exchange(parts, http1Arrival(incoming, outgoing), upgrade);
  });

  await listen(server, host, port);
  let isClosed = (): void => {};
  const stopped = new Promise<void>((resolve) => {
    isClosed = resolve;
  });
  const drain = (): void => {
    if (closing) return;
    closing = true;
    server.close(() => isClosed());
    // GOAWAY: streams that are open go on.
    for (const session of sessions) session.close();
    for (const socket of plain) if (!busy.has(socket)) socket.end();
  };
  const stop = (): void => {
    drain();
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, grace);
    void stopped.then(() => clearTimeout(timer));
  };
  whenAborted(signal, stop);
  return { host, port: (server.address() as AddressInfo).port, drain, stopped };
}

/** A quiet watch is no idleness: only a connection without streams is closed. */
function closeWhenIdle(session: ServerHttp2Session, streams: () => number): void {
  const wait = (): void => {
    session.setTimeout(idleTime, () => {
      if (streams() === 0) session.close();
      else wait();
    });
  };
  wait();
}

function listen(server: ReturnType<typeof createSecureServer>, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
    server.listen({ host, port }, () => {
      server.removeAllListeners("error");
      server.on("error", () => {});
      resolve();
    });
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const cause = { cause: error };
  switch (error.code) {
    case "EADDRINUSE":
      return new ServeError(
        "PORT_IN_USE",
        `port ${port} on ${host} is in use by another program; choose another one`,
        cause,
      );
    case "EACCES":
      return new ServeError(
        "NOT_PERMITTED",
        `port ${port} may not be opened by this user; choose one above 1023`,
        cause,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new ServeError("ADDRESS", `${host} is no address of this machine`, cause);
    default:
      return error;
  }
}
