import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, isIP, type Server, type Socket } from "node:net";
import { whenAborted } from "../system/index.ts";
import type { Resolver } from "./resolver.ts";
import type { Endpoint } from "./upstream.ts";

/** Added to a port that this user may not open: 53 becomes 8053. */
const portOffset = 8000;

/** Connections over TCP at a time, for each address. */
const maxConnections = 128;
/** Milliseconds without a query after which a connection ends. RFC 7766 section 6.2.3 asks for a few seconds. */
const idle = 10_000;
/** Queries that wait for an answer at a time, for each address; more are dropped, as the network would. */
const maxUnderWay = 1000;

/** The address cannot be listened on. */
export class ListenError extends Error {
  readonly code = "LISTEN";
}

/**
 * Opens UDP and TCP on the same port of an address. Returns where it listens: the port, or 8000 more when this user may not open
 * the port. Both end when the signal aborts. Throws ListenError.
 */
export async function listen(
  where: Endpoint,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<Endpoint & { closed: Promise<void> }> {
  try {
    return await open(where, resolver, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES" && where.port < 1024) {
      return listen({ ...where, port: where.port + portOffset }, resolver, signal);
    }
    const reasons: Record<string, string> = {
      EADDRINUSE: "another program listens there",
      EADDRNOTAVAIL: "this machine does not have the address",
      EACCES: "this user may not open it",
    };
    const why = reasons[code ?? ""] ?? String(error);
    throw new ListenError(`DNS cannot listen on ${where.address} port ${where.port}: ${why}`, { cause: error });
  }
}

async function open({ address, port }: Endpoint, resolver: Resolver, signal: AbortSignal) {
  signal.throwIfAborted();
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
    serve(socket, resolver);
  });
  server.maxConnections = maxConnections;
  server.listen(port, address);
  await once(server, "listening");
  // Where any port will do, UDP takes the one that TCP got.
  const actual = (server.address() as { port: number }).port;
  const datagrams = createSocket(isIP(address) === 6 ? "udp6" : "udp4");
  try {
    datagrams.bind(actual, address);
    await once(datagrams, "listening");
  } catch (error) {
    server.close();
    throw error;
  }
  answerDatagrams(datagrams, resolver);
  // An error of one datagram or one connection is not the server's end.
  datagrams.on("error", () => {});
  server.on("error", () => {});
  return { address, port: actual, closed: closedBy(signal, server, connections, datagrams) };
}

async function closedBy(
  signal: AbortSignal,
  server: Server,
  connections: ReadonlySet<Socket>,
  datagrams: DatagramSocket,
): Promise<void> {
  const closed = Promise.all([once(server, "close"), once(datagrams, "close")]);
  const close = () => {
    server.close();
    for (const socket of connections) socket.destroy();
    datagrams.close();
  };
  whenAborted(signal, close);
  await closed;
}

function answerDatagrams(socket: DatagramSocket, resolver: Resolver): void {
  let underWay = 0;
  let open = true;
  socket.on("close", () => (open = false));
  socket.on("message", (message, from) => {
    if (underWay >= maxUnderWay) return;
    underWay++;
    void resolver.resolve(message, "udp").then((response) => {
      underWay--;
      // Whoever asked may have gone; UDP promises nothing.
      if (response && open) socket.send(response, from.port, from.address, () => {});
    });
  });
}

/** One connection: queries with their length in front (RFC 1035 section 4.2.2), answered one after the other. */
function serve(socket: Socket, resolver: Resolver): void {
  socket.setTimeout(idle, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  void answerStream(socket, resolver).catch(() => socket.destroy());
}

async function answerStream(socket: Socket, resolver: Resolver): Promise<void> {
  let received = Buffer.alloc(0);
  // Reading stops while an answer is being made, so a client cannot pile up queries here.
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    received = Buffer.concat([received, chunk]);
    while (received.byteLength >= 2 && received.byteLength >= 2 + received.readUInt16BE()) {
      const end = 2 + received.readUInt16BE();
      const response = await resolver.resolve(received.subarray(2, end), "tcp");
      received = received.subarray(end);
      if (!response) return void socket.destroy();
      const length = Buffer.alloc(2);
      length.writeUInt16BE(response.byteLength);
      if (!socket.write(Buffer.concat([length, response]))) await once(socket, "drain");
    }
  }
  socket.end();
}
