import type { ServiceEndpoint } from "../../services/index.ts";

/** Endpoints tried for one client before it is refused. */
export const attempts = 5;
/** Milliseconds until an endpoint that does not answer a connect is given up for another. */
export const connectTimeout = 3_000;

/** What a listener asks for each client: where to, and to be told who was reached. */
export interface Target {
  /** Endpoints in the order to try them; empty: the client is refused. */
  endpointsFor(client: string): readonly ServiceEndpoint[];
  reached(client: string, endpoint: ServiceEndpoint): void;
  /** Is told that a connection is carried to an endpoint; what it gives is to be called when the connection ends. */
  began(client: Connection, endpoint: ServiceEndpoint): () => void;
  /** Is told that an endpoint did not take a connection. */
  failed(endpoint: ServiceEndpoint): void;
  /** Where there is no endpoint: resolves when there is one, with false at once or when there is none in time. */
  hold(client: string): Promise<boolean>;
  /** Is told of each client that comes. */
  came(from: Pick<Connection, "remoteAddress" | "remotePort">): void;
}

/** An open socket that serves one frontend. */
export interface Server {
  /** The endpoints may be others now. */
  refresh(): void;
  /** Takes no new clients; TCP connections that exist go on. */
  close(): void;
}

/** Opens a server; rejects with the system's error (`EACCES`, `EADDRINUSE`, `EADDRNOTAVAIL`, ...). */
export type OpenServer = (
  where: { readonly address: string; readonly port: number },
  target: Target,
  report: (problem: string) => void,
  connections: Connections,
) => Promise<Server>;

/** TCP connections that are open. They outlive the server they came in by, and end with the proxy. */
export type Connections = Set<Connection>;

/** The client's side of one, as far as others need it: a `Socket` of Node.js is one. */
export interface Connection {
  destroy(): unknown;
  resetAndDestroy(): unknown;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}
