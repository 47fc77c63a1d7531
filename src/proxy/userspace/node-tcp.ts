import { connect, createServer, type Socket } from "node:net";
import type { ServiceEndpoint } from "../../services/index.ts";
import { attempts, connectTimeout, type OpenServer, type Target } from "./target.ts";

/** TCP by the sockets of Node.js: where there is no epoll or no foreign function interface. */
export const openNodeTcpServer: OpenServer = (where, target, report, connections) =>
  new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
      client.on("error", () => client.destroy());
      connections.add(client);
      client.once("close", () => connections.delete(client));
      void serve(client, target, report);
    });
    server.once("error", reject);
    server.listen({ host: where.address, port: where.port, backlog: 1024 }, () => {
      server.off("error", reject);
      // Too many open files: the client is turned away, the listener lives on.
      server.on("error", (error) => report(error.message));
      resolve({ refresh() {}, close: () => server.close() });
    });
  });

async function serve(client: Socket, target: Target, report: (problem: string) => void): Promise<void> {
  const address = client.remoteAddress ?? "";
  target.came(client);
  let endpoints = target.endpointsFor(address);
  if (endpoints.length === 0 && (await target.hold(address))) endpoints = target.endpointsFor(address);
  for (const endpoint of endpoints.slice(0, attempts)) {
    if (client.destroyed) return;
    try {
      const upstream = await reach(endpoint);
      if (client.destroyed) {
        upstream.destroy();
        return;
      }
      target.reached(address, endpoint);
      client.once("close", target.began(client, endpoint));
      join(client, upstream);
      return;
    } catch (error) {
      // Nothing has been sent yet, so another endpoint may answer in its place.
      target.failed(endpoint);
      report(`${endpoint.address}:${endpoint.port}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  client.resetAndDestroy();
}

function reach(endpoint: ServiceEndpoint): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const upstream = connect({ host: endpoint.address, port: endpoint.port, allowHalfOpen: true, noDelay: true });
    const fail = (error: Error) => {
      upstream.destroy();
      reject(error);
    };
    upstream.once("error", fail);
    // The answer may be there and not read yet, when this process was kept from running for so long.
    upstream.setTimeout(connectTimeout, () =>
      setImmediate(() => upstream.connecting && fail(new Error("no answer to connect"))),
    );
    upstream.once("connect", () => {
      upstream.setTimeout(0);
      upstream.off("error", fail);
      resolve(upstream);
    });
  });
}

/** Copies both ways with back-pressure. An end of one side is passed on alone; a reset tears both down. */
function join(client: Socket, upstream: Socket): void {
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.removeAllListeners("error");
    from.on("error", () => to.resetAndDestroy());
    from.on("close", () => {
      if (!from.readableEnded) to.destroy();
    });
    from.pipe(to);
  }
}
