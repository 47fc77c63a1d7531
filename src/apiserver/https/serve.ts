import type { IncomingMessage } from "node:http";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createMetrics, type Logger, type Metrics } from "../../system/index.ts";
import { createAuthenticator, type Authenticator } from "../authentication/index.ts";
import type { ApiHandler } from "../handler.ts";
import { createRequestFigures } from "../request-figures.ts";
import { createCatalog } from "../resources/index.ts";
import { exchange } from "./exchange.ts";
import { createCertificateReader } from "./identity.ts";
import { createInFlight, tellOfInFlight } from "./inflight.ts";
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
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Told of the requests under way and of those that are turned away here. Absent: nobody is. */
  readonly metrics?: Metrics;
}

export interface Served {
  readonly host: string;
  readonly port: number;
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

/**
 * Serves the API over TLS, HTTP/1.1 and HTTP/2. Client certificates are asked for but not needed: who shows none is anonymous.
 * Throws ServeError when it can not listen.
 */
export async function serveHttps(handler: ApiHandler, options: ServeOptions): Promise<Served> {
  const { host, port, cert, key, clientCa, frontProxyCa, signal, log, metrics = createMetrics() } = options;
  const { authenticator = createAuthenticator() } = options;
  const certificateOf = createCertificateReader({ clientCa, frontProxyCa });
  const inFlight = createInFlight();
  tellOfInFlight(metrics, inFlight);
  // What is refused here is told apart by built-in kind alone.
  const figures = createRequestFigures(metrics, createCatalog());
  const server = createSecureServer({
    cert,
    key,
    ca: frontProxyCa === undefined ? clientCa : [clientCa, frontProxyCa],
    requestCert: true,
    rejectUnauthorized: false,
    allowHTTP1: true,
    handshakeTimeout: handshakeTime,
    minVersion: "TLSv1.2",
    maxSessionMemory: 64,
    settings: { maxConcurrentStreams: mostStreams, initialWindowSize: 1 << 20 },
  });
  server.maxConnections = mostConnections;
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
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
    closeWhenIdle(session);
  });
  server.on("tlsClientError", (error) => log.debug({ error: String(error) }, "TLS handshake failed"));
  const parts = { handler, authenticator, certificateOf, inFlight, figures, log };
  server.on("request", (incoming, outgoing) => void exchange(parts, incoming, outgoing));
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    const { outgoing, upgrade } = beginUpgrade(incoming, socket, head);
    void exchange(parts, incoming, outgoing, upgrade);
  });

  await listen(server, host, port);
  const stopped = new Promise<void>((resolve) => {
    const stop = (): void => {
      server.close(() => resolve());
      for (const session of sessions) session.close();
      setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, grace);
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  return { host, port: (server.address() as AddressInfo).port, stopped };
}

/** A quiet watch is no idleness: only a connection without streams is closed. */
function closeWhenIdle(session: ServerHttp2Session): void {
  let streams = 0;
  session.on("stream", (stream) => {
    streams++;
    stream.on("close", () => streams--);
  });
  const wait = (): void => {
    session.setTimeout(idleTime, () => {
      if (streams === 0) session.close();
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
