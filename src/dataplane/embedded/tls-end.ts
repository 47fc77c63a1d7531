import type { Socket } from "node:net";
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";

/** One way to end TLS: a certificate, and what clients must show. The same object as long as it is the same way. */
export interface TlsWay {
  readonly options: SecureContextOptions;
  /** A certificate is asked for. */
  readonly requestCert: boolean;
  /** Without a good one there is no connection. */
  readonly rejectUnauthorized: boolean;
}

/** Who takes a connection when its handshake is done. */
export type TlsUse = "http" | "stream";

export interface TlsEnds {
  /** Does the handshake of a connection in one way, and hands it over. A handshake that fails ends it. */
  accept(socket: Socket, way: TlsWay, use: TlsUse): void;
}

export interface TlsEndsOptions {
  /** Milliseconds. */
  readonly handshakeTimeout: number;
  readonly takers: Readonly<Record<TlsUse, (secure: TLSSocket) => void>>;
}

const alpn: Readonly<Record<TlsUse, string[]>> = { http: ["h2", "http/1.1"], stream: [] };

/**
 * Ends TLS in as many ways as there are certificates. Each has a server of its own, which listens nowhere: one server
 * that chose among them by `SNICallback` would add the chosen certificate to its own, and where the two have keys of
 * different types, OpenSSL takes the one that it likes better.
 */
export function createTlsEnds({ handshakeTimeout, takers }: TlsEndsOptions): TlsEnds {
  const servers = { http: new WeakMap<TlsWay, Server>(), stream: new WeakMap<TlsWay, Server>() };

  function create({ options, requestCert, rejectUnauthorized }: TlsWay, use: TlsUse): Server {
    const server = createServer({
      ...options,
      requestCert,
      rejectUnauthorized,
      handshakeTimeout,
      ...(alpn[use].length > 0 ? { ALPNProtocols: alpn[use] } : {}),
    });
    server.on("secureConnection", takers[use]);
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    return server;
  }

  return {
    accept(socket, way, use) {
      let server = servers[use].get(way);
      if (!server) servers[use].set(way, (server = create(way, use)));
      server.emit("connection", socket);
    },
  };
}
