import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { ServiceEndpoint } from "../../services/index.ts";
import { idOf } from "./balancer.ts";
import type { OpenServer, Target } from "./target.ts";

/** Clients served at once by one frontend; beyond that the one that was quiet longest is forgotten. */
const sessions = 4_096;
/** Milliseconds after which a quiet client is forgotten. */
const idle = 60_000;
/** Datagrams kept while the way to the endpoint opens. */
const waiting = 16;

interface Session {
  readonly socket: Socket;
  readonly endpoint: ServiceEndpoint;
  readonly client: string;
  queue: Buffer[] | undefined;
  timer: NodeJS.Timeout;
}

export const openUdpServer: OpenServer = (where, target, report) =>
  new Promise((resolve, reject) => {
    const server = createSocket(isIPv6(where.address) ? { type: "udp6", ipv6Only: true } : { type: "udp4" });
    const clients = createSessions(server, target, report);
    const close = () => {
      clients.close();
      server.close();
    };
    server.once("error", (error) => {
      server.close();
      reject(error);
    });
    server.bind({ address: where.address, port: where.port, exclusive: true }, () => {
      server.removeAllListeners("error");
      server.on("error", (error) => report(error.message));
      server.on("message", (data, from) => clients.forward(data, from));
      resolve({ refresh: () => clients.refresh(), close });
    });
  });

/** One socket to an endpoint for each client, so that answers find their way back. */
function createSessions(server: Socket, target: Target, report: (problem: string) => void) {
  // In the order of last use: the first one was quiet longest.
  const open = new Map<string, Session>();

  function end(id: string, session: Session): void {
    if (open.get(id) === session) open.delete(id);
    clearTimeout(session.timer);
    session.queue = undefined;
    session.socket.removeAllListeners();
    session.socket.on("error", () => {});
    session.socket.close();
  }

  function begin(id: string, from: RemoteInfo): Session | undefined {
    target.came({ remoteAddress: from.address, remotePort: from.port });
    const [endpoint] = target.endpointsFor(from.address);
    if (!endpoint) return undefined;
    const [[oldestId, oldest] = []] = open;
    if (open.size >= sessions && oldestId !== undefined && oldest) end(oldestId, oldest);
    const socket = createSocket(isIPv6(endpoint.address) ? "udp6" : "udp4");
    const timer = setTimeout(() => end(id, session), idle).unref();
    const session: Session = { socket, endpoint, client: from.address, queue: [], timer };
    socket.on("message", (answer) => {
      session.timer.refresh();
      server.send(answer, from.port, from.address, () => {});
    });
    // Refused or out of sockets: the next datagram of this client looks for another endpoint.
    socket.on("error", (error) => {
      report(`${idOf(endpoint)}: ${error.message}`);
      end(id, session);
    });
    socket.connect(endpoint.port, endpoint.address, () => {
      target.reached(from.address, endpoint);
      for (const data of session.queue ?? []) socket.send(data, () => {});
      session.queue = undefined;
    });
    return session;
  }

  return {
    forward(data: Buffer, from: RemoteInfo): void {
      const id = `${from.address}:${from.port}`;
      const session = open.get(id) ?? begin(id, from);
      if (!session) return;
      open.delete(id);
      open.set(id, session);
      session.timer.refresh();
      if (!session.queue) session.socket.send(data, () => {});
      else if (session.queue.length < waiting) session.queue.push(data);
    },
    /** Ends the sessions whose endpoint is no longer one: UDP has no end of its own. */
    refresh(): void {
      for (const [id, session] of open) {
        const still = target.endpointsFor(session.client).some((one) => idOf(one) === idOf(session.endpoint));
        if (!still) end(id, session);
      }
    },
    close(): void {
      for (const [id, session] of open) end(id, session);
    },
  };
}
