import { connect, type Socket } from "node:net";
import type { Limits } from "../limits.ts";
import { isIdempotent } from "../retry.ts";
import { createChunkReader, type ChunkReader } from "./chunks.ts";
import { readResponseHead, readTrailers, type ResponseHead } from "./response-head.ts";

/**
 * Why an exchange failed: there was no connection, it was lost before an answer began, the answer's header section cannot be read, or it
 * ended in the middle.
 */
export type ExchangeFailure = "unconnected" | "lost" | "malformed" | "cut";

/** Gets one answer. Bytes are its own only during the call. */
export interface Receiver {
  begin(head: ResponseHead): void;
  data(bytes: Buffer, start: number, end: number): void;
  /** All of one read has been told; `trailers` with the end of the answer. False: no more until `resume`. */
  flush(trailers: readonly string[] | undefined): boolean;
  failed(why: ExchangeFailure): void;
}

/** A request that has been sent, until its answer has ended. */
export interface Exchange {
  resume(): void;
  /** Gives it up, with its connection. The receiver hears nothing more. */
  abort(): void;
}

/** Connections of HTTP/1.1 in clear to one endpoint, each with one request at a time. */
export interface EndpointConnections {
  /** `request`: a whole one, one character a byte. One that could not be repeated goes by no connection that is doubtful (`Limits.endpointTrust`). */
  send(request: string, method: string, receiver: Receiver): Exchange;
  /** Those without a request close now, the others after their answers; settles when the last is closed. */
  close(): Promise<void>;
}

export interface EndpointConnectionsOptions {
  readonly address: string;
  readonly port: number;
  readonly limits: Limits;
}

// What has been read is used up before anything else is read, whatever the connection: one buffer does for all of them.
const readBuffer = Buffer.allocUnsafeSlow(64 << 10);
const nothing: readonly string[] = [];

interface Connection extends Exchange {
  use(request: string, method: string, to: Receiver): void;
  isIdleSince: number;
  destroy(): void;
}

export function createEndpointConnections(options: EndpointConnectionsOptions): EndpointConnections {
  const { address: host, port, limits } = options;
  const open = new Set<Connection>();
  /** Used last, last: the others get old together. */
  const idle: Connection[] = [];
  let sweep: NodeJS.Timeout | undefined;
  let closed: (() => void) | undefined;

  function rest(connection: Connection): void {
    if (closed) return connection.destroy();
    connection.isIdleSince = Date.now();
    idle.push(connection);
    sweep ??= setInterval(closeOld, Math.max(10, limits.endpointKeepAlive / 4)).unref();
  }

  function closeOld(): void {
    const oldest = Date.now() - limits.endpointKeepAlive;
    while (idle[0] && idle[0].isIdleSince <= oldest) idle.shift()?.destroy();
    if (idle.length > 0) return;
    clearInterval(sweep);
    sweep = undefined;
  }

  function gone(connection: Connection): void {
    open.delete(connection);
    const at = idle.indexOf(connection);
    if (at >= 0) idle.splice(at, 1);
    if (open.size === 0) closed?.();
  }

  function begin(): Connection {
    let receiver: Receiver | undefined;
    let method = "GET";
    /** What has come of a header section that is not whole yet. */
    let held = "";
    let head: ResponseHead | undefined;
    let left = 0;
    let chunks: ChunkReader | undefined;
    let connected = false;
    let connecting: NodeJS.Timeout | undefined = setTimeout(() => socket.destroy(), limits.connect);
    const socket: Socket = connect({
      host,
      port,
      noDelay: true,
      onread: { buffer: readBuffer, callback: (bytes) => read(bytes) },
    });
    socket.once("connect", () => {
      connected = true;
      clearTimeout(connecting);
      connecting = undefined;
    });
    socket.on("error", () => socket.destroy());
    socket.on("end", () => {
      // Without a length the answer ends here.
      if (receiver && head?.body === "close") finish(nothing);
      socket.destroy();
    });
    socket.once("close", () => {
      clearTimeout(connecting);
      gone(connection);
      fail(!connected ? "unconnected" : head ? "cut" : "lost");
    });

    function fail(why: ExchangeFailure): void {
      const to = receiver;
      receiver = undefined;
      socket.destroy();
      to?.failed(why);
    }

    function finish(trailers: readonly string[]): void {
      const to = receiver;
      const { reusable = false } = head ?? {};
      receiver = head = chunks = undefined;
      if (reusable) rest(connection);
      else socket.destroy();
      to?.flush(trailers);
    }

    /** False: no more for now. */
    function read(bytes: number): boolean {
      // Nobody has asked: it may be meant for whoever asks next, and is for nobody.
      if (!receiver) {
        socket.destroy();
        return false;
      }
      let at = 0;
      while (!head) {
        const text = held + readBuffer.toString("latin1", at, Math.min(bytes, at + limits.headerBytes));
        const end = text.indexOf("\r\n\r\n");
        if (end < 0) {
          held = text;
          if (text.length >= limits.headerBytes) fail("malformed");
          return true;
        }
        at += end + 4 - held.length;
        held = "";
        const found = readResponseHead(text.slice(0, end), method);
        if (!found || found.status === 101) {
          fail("malformed");
          return true;
        }
        if (found.status < 200) continue;
        head = found;
        receiver.begin(found);
        if (typeof found.body === "number") left = found.body;
        else if (found.body === "chunked") chunks = createChunkReader(limits.headerBytes);
      }
      return body(receiver, head, at, bytes);
    }

    function body(to: Receiver, { body: kind }: ResponseHead, at: number, bytes: number): boolean {
      if (kind === "close") {
        if (at < bytes) to.data(readBuffer, at, bytes);
        return to.flush(undefined);
      }
      if (kind === "chunked" && chunks) {
        const stop = chunks.read(readBuffer, at, bytes, (from, start, end) => to.data(from, start, end));
        if (stop === undefined) return to.flush(undefined);
        const trailers = stop === bytes ? readTrailers(chunks.trailers()) : undefined;
        if (trailers) finish(trailers);
        else fail("cut");
        return true;
      }
      const take = Math.min(left, bytes - at);
      if (take > 0) to.data(readBuffer, at, at + take);
      left -= take;
      if (left > 0) return to.flush(undefined);
      // More than was asked for: what it belongs to nobody knows.
      if (at + take < bytes && head) head = { ...head, reusable: false };
      finish(nothing);
      return true;
    }

    const connection: Connection = {
      isIdleSince: 0,
      use(text, by, to) {
        [method, receiver, left] = [by, to, 0];
        socket.write(text, "latin1");
      },
      resume: () => void socket.resume(),
      abort() {
        receiver = undefined;
        socket.destroy();
      },
      destroy: () => void socket.destroy(),
    };
    open.add(connection);
    return connection;
  }

  /** The one that was used last, if it may be used. */
  function take(method: string): Connection | undefined {
    const last = idle.at(-1);
    if (!last || isIdempotent(method) || Date.now() - last.isIdleSince <= limits.endpointTrust) return idle.pop();
    // A new one takes the place of the oldest: whoever sends such requests now and then leaves no heap of connections behind.
    idle.shift()?.destroy();
    return undefined;
  }

  return {
    send(request, method, receiver) {
      const connection = take(method) ?? begin();
      connection.use(request, method, receiver);
      return connection;
    },
    async close() {
      if (open.size === 0) return;
      const last = new Promise<void>((resolve) => {
        closed = resolve;
      });
      for (const connection of idle) connection.destroy();
      await last;
    },
  };
}
