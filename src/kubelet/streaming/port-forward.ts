import type { IncomingMessage } from "node:http";
import type { Duplex, Readable, Writable } from "node:stream";
import { createWebSocketStream } from "ws";
import { chooseProtocol, isSpdy, isWebSocket, listOf } from "./negotiate.ts";
import { refusal } from "./refusal.ts";
import { serveSpdy, type SpdyStream } from "./spdy/index.ts";
import { acceptSpdy } from "./spdy-upgrade.ts";
import { acceptWebSocket, openChannels } from "./web-socket.ts";

export interface ForwardTarget {
  /** Names the pod in messages. */
  readonly pod: string;
  readonly uid: string;
  connect(port: number): Promise<Duplex>;
}

const tunnel = "SPDY/3.1+portforward.k8s.io";
const spdyProtocol = "portforward.k8s.io";
const webSocketProtocols = [tunnel, "v4.channel.k8s.io", "v4.base64.channel.k8s.io"];

/** Milliseconds that the second stream of a pair may come after the first. */
const pairingMs = 30_000;
/** Ports of one WebSocket: its channels are numbered by a byte. */
const mostPorts = 127;

/**
 * Serves port-forward on an upgraded connection: SPDY/3.1 as it is or inside a WebSocket (KEP-4006), or the older WebSocket protocol with two
 * channels for each port. Settles when the connection is closed. Throws `Refusal` while it is still HTTP's.
 */
export async function servePortForward(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  query: URLSearchParams,
  target: ForwardTarget,
): Promise<void> {
  if (isWebSocket(request)) {
    const protocol = chooseProtocol(listOf(request, "sec-websocket-protocol"), webSocketProtocols, true);
    if (protocol !== tunnel) return serveChannels(request, socket, head, protocol, portsOf(query), target);
    const ws = await acceptWebSocket(request, socket, head, protocol);
    return servePairs(createWebSocketStream(ws), target);
  }
  if (!isSpdy(request)) throw refusal(400, "Upgrade request required");
  const protocol = chooseProtocol(listOf(request, "x-stream-protocol-version"), [spdyProtocol], true);
  return servePairs(acceptSpdy(socket, head, protocol), target);
}

function portsOf(query: URLSearchParams): number[] {
  const texts = query.getAll("port").flatMap((text) => text.split(","));
  if (texts.length === 0) throw refusal(400, 'query parameter "port" is required');
  if (texts.length > mostPorts) throw refusal(400, `at most ${mostPorts} ports may be forwarded by one connection`);
  return texts.map((text) => {
    const port = Number(text);
    if (!/^\d+$/.test(text)) throw refusal(400, `unable to parse ${JSON.stringify(text)} as a port`);
    if (port < 1 || port > 65_535) throw refusal(400, `port ${JSON.stringify(text)} must be between 1 and 65535`);
    return port;
  });
}

async function serveChannels(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string,
  ports: readonly number[],
  target: ForwardTarget,
): Promise<void> {
  const channels = openChannels(await acceptWebSocket(request, socket, head, protocol), protocol);
  await Promise.all(
    ports.map(async (port, i) => {
      const number = Buffer.alloc(2);
      number.writeUInt16LE(port);
      const [input, output, error] = [channels.readable(2 * i), channels.writable(2 * i), channels.writable(2 * i + 1)];
      output.write(number);
      error.write(number);
      await forward({ port, input, output, error, closed: channels.closed }, target);
    }),
  );
  await channels.close();
}

async function servePairs(connection: Duplex, target: ForwardTarget): Promise<void> {
  const waiting = new Map<string, { readonly stream: SpdyStream; readonly timer: NodeJS.Timeout }>();
  const session = serveSpdy(connection, (stream) => {
    const { id, headers, data } = stream;
    const type = headers.get("streamtype");
    const port = Number(headers.get("port"));
    if ((type !== "error" && type !== "data") || !Number.isInteger(port) || port < 1 || port > 65_535) {
      data.destroy();
      return;
    }
    // Clients before request ids open the error stream of a pair right before its data stream.
    const key = headers.get("requestid") ?? String(type === "error" ? id : id - 2);
    const other = waiting.get(key);
    if (!other) {
      const timer = setTimeout(() => {
        waiting.delete(key);
        data.destroy();
      }, pairingMs);
      waiting.set(key, { stream, timer });
      return;
    }
    clearTimeout(other.timer);
    waiting.delete(key);
    if (other.stream.headers.get("streamtype") === type) {
      data.destroy();
      other.stream.data.destroy();
      return;
    }
    const [error, pipe] = type === "error" ? [data, other.stream.data] : [other.stream.data, data];
    error.resume();
    void forward({ port, input: pipe, output: pipe, error, closed: session.closed }, target);
  });
  await session.closed;
  for (const { timer } of waiting.values()) clearTimeout(timer);
}

interface Forwarded {
  readonly port: number;
  readonly input: Readable;
  readonly output: Writable;
  readonly error: Writable;
  readonly closed: Promise<void>;
}

/** One connection to a port: both ways until both have ended. Never throws. */
async function forward({ port, input, output, error, closed }: Forwarded, target: ForwardTarget): Promise<void> {
  const fail = (cause: unknown): void => {
    const text = cause instanceof Error ? cause.message : String(cause);
    if (error.writable) error.end(`error forwarding port ${port} to pod ${target.pod}, uid ${target.uid}: ${text}`);
  };
  let connection: Duplex;
  try {
    connection = await target.connect(port);
  } catch (cause) {
    fail(cause);
    output.end();
    input.resume();
    return;
  }
  await new Promise<void>((resolve) => {
    connection.on("error", fail);
    connection.once("close", resolve);
    void closed.then(() => connection.destroy());
    input.once("error", () => connection.destroy());
    output.once("error", () => connection.destroy());
    input.pipe(connection);
    connection.pipe(output);
  });
  input.unpipe(connection);
  input.resume();
  if (output.writable) output.end();
  if (error.writable) error.end();
}
