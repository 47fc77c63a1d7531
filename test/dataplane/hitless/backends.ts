// Backends of the hitless test: three of a Service whose endpoints change, one for WebSockets, one for gRPC.
import { createServer, type Server } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";

export interface Backends {
  /** Ports of those that answer `name:body`. */
  readonly web: ReadonlyMap<string, number>;
  /** Says back what it hears. */
  readonly echo: number;
  /** Cleartext HTTP/2: answers with a trailer, as gRPC does. */
  readonly grpc: number;
  close(): Promise<void>;
}

const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

export async function startBackends(names: readonly string[]): Promise<Backends> {
  const servers: Server[] = [];
  const web = new Map<string, number>();
  for (const name of names) {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => response.end(`${name}:${Buffer.concat(chunks).toString()}`));
    });
    // The proxy closes what is idle, and not the endpoint: that would be a fault of the endpoint's.
    server.keepAliveTimeout = 600_000;
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    web.set(name, portOf(server));
  }
  const upgraded = createServer();
  servers.push(upgraded);
  const sockets = new WebSocketServer({ server: upgraded });
  sockets.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("message", (data, binary) => socket.send(data, { binary }));
  });
  await new Promise<void>((resolve) => upgraded.listen(0, "127.0.0.1", resolve));
  const grpc = createHttp2();
  const sessions = new Set<{ destroy(): void }>();
  grpc.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  grpc.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.pipe(stream);
  });
  await new Promise<void>((resolve) => grpc.listen(0, "127.0.0.1", resolve));
  return {
    web,
    echo: portOf(upgraded),
    grpc: portOf(grpc),
    async close() {
      for (const socket of sockets.clients) socket.terminate();
      for (const server of servers) server.closeAllConnections();
      for (const session of sessions) session.destroy();
      await Promise.all([...servers, grpc].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}
