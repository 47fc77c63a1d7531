// The endpoints of all Services, in one process: each has a port, and tells what arrived there.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Arrival } from "./verdict.ts";

export interface Endpoints {
  /** By the Service's name. */
  readonly ports: ReadonlyMap<string, number>;
  /** Takes what arrived with a mark. */
  take(mark: string): Arrival[];
  /** Whatever arrived without one: nobody sent it. */
  strays(): readonly Arrival[];
  close(): Promise<void>;
}

/** Field that marks the request of a connection; a part of a body that is taken for a request has none. */
export const markField = "x-mark";

export async function startEndpoints(services: readonly string[]): Promise<Endpoints> {
  const arrived = new Map<string, Arrival[]>();
  const strays: Arrival[] = [];
  const servers: Server[] = [];
  const ports = new Map<string, number>();
  for (const service of services) {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("error", () => {});
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { method = "", url: target = "", headers } = request;
        const arrival = {
          service,
          method,
          target,
          host: headers.host ?? "",
          body: Buffer.concat(chunks).toString("latin1"),
        };
        const mark = headers[markField];
        if (typeof mark === "string") arrived.set(mark, [...(arrived.get(mark) ?? []), arrival]);
        else strays.push(arrival);
        response.end("ok");
      });
    });
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.push(server);
    ports.set(service, (server.address() as AddressInfo).port);
  }
  return {
    ports,
    take(mark) {
      const found = arrived.get(mark) ?? [];
      arrived.delete(mark);
      return found;
    },
    strays: () => strays,
    async close() {
      for (const server of servers) server.closeAllConnections();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}
