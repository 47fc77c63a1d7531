import type { IncomingMessage } from "node:http";
import { Readable, Writable, type Duplex } from "node:stream";
import { WebSocketServer, type RawData, type WebSocket } from "ws";
import { startPinging } from "./pings.ts";

/** Longest message that is taken. */
const mostMessage = 4 << 20;
/** Bytes of a channel that nobody has read yet; with more, nothing is read from the connection. */
const mostUnread = 256 << 10;
/** Milliseconds that a client has to answer a goodbye. */
const partingMs = 3_000;
/** First byte of a message that ends a channel, the second byte (v5.channel.k8s.io, KEP-4006). */
const closeChannel = 255;

/** Takes over a connection as a WebSocket. `protocol`: the sub-protocol that was chosen, "" for none. */
export function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string,
): Promise<WebSocket> {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: mostMessage,
  });
  // The library refuses names with a slash, such as that of SPDY in a WebSocket (KEP-4006): it does not get to see them.
  const { "sec-websocket-protocol": _offered, ...headers } = request.headers;
  const shown = Object.create(request, { headers: { value: headers } }) as IncomingMessage;
  if (protocol) server.on("headers", (lines) => lines.push(`Sec-WebSocket-Protocol: ${protocol}`));
  return new Promise((resolve, reject) => {
    socket.once("close", () => reject(new Error("the client has gone")));
    server.handleUpgrade(shown, socket, head, (ws) => {
      const stop = startPinging({ isPaused: () => ws.isPaused, ping: () => ws.ping() });
      ws.on("close", stop);
      ws.on("error", () => {});
      resolve(ws);
    });
  });
}

/** A WebSocket that carries numbered byte streams: one byte before each message says which (or, in base64, one digit). */
export interface Channels {
  /** What the client sends on a channel. Ends when the client ends it or goes. */
  readable(channel: number): Readable;
  /** Sends on a channel. */
  writable(channel: number): Writable;
  readonly closed: Promise<void>;
  /** Sends what is under way, says goodbye and closes. */
  close(): Promise<void>;
}

export function openChannels(ws: WebSocket, protocol: string): Channels {
  const isBase64 = protocol.includes("base64.");
  const canClose = protocol.startsWith("v5.");
  const inputs = new Map<number, Readable>();
  const full = new Set<number>();

  const takeable = (channel: number): void => {
    if (full.delete(channel) && full.size === 0) ws.resume();
  };
  const closed = new Promise<void>((resolve) => {
    ws.once("close", () => {
      for (const input of inputs.values()) input.push(null);
      resolve();
    });
  });
  ws.on("message", (message: RawData) => {
    const bytes = bytesOf(message);
    const [first] = bytes;
    if (first === undefined) return;
    if (canClose && first === closeChannel) {
      inputs.get(bytes[1] ?? -1)?.push(null);
      inputs.delete(bytes[1] ?? -1);
      return;
    }
    const channel = isBase64 ? first - 48 : first;
    const data = isBase64 ? Buffer.from(bytes.toString("latin1", 1), "base64") : bytes.subarray(1);
    const input = inputs.get(channel);
    if (!input || input.destroyed || data.length === 0 || input.push(data)) return;
    full.add(channel);
    ws.pause();
  });

  const send = (channel: number, data: Uint8Array, done: (error?: Error | null) => void): void => {
    if (ws.readyState !== ws.OPEN) return done(new Error("the client has gone"));
    if (isBase64) ws.send(`${channel}${Buffer.from(data).toString("base64")}`, done);
    else ws.send(Buffer.concat([Buffer.from([channel]), data]), { binary: true }, done);
  };

  return {
    closed,
    readable(channel) {
      const input = new Readable({
        highWaterMark: mostUnread,
        read: () => takeable(channel),
        destroy: (error, done) => (takeable(channel), done(error)),
      });
      input.on("error", () => {});
      inputs.set(channel, input);
      if (ws.readyState !== ws.OPEN) input.push(null);
      return input;
    },
    writable(channel) {
      const output = new Writable({ write: (chunk: Buffer, _, done) => send(channel, chunk, done) });
      output.on("error", () => {});
      return output;
    },
    async close() {
      ws.resume();
      ws.close(1000);
      const timer = setTimeout(() => ws.terminate(), partingMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

function bytesOf(message: RawData): Buffer {
  if (Buffer.isBuffer(message)) return message;
  return Array.isArray(message) ? Buffer.concat(message) : Buffer.from(message);
}
