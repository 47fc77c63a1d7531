import { Duplex } from "node:stream";
import { startPinging } from "../pings.ts";
import { SpdyError } from "./error.ts";
import { type ControlFrame, createFrameReader, dataHead, encodeControl, resetStatus } from "./frames.ts";
import { createHeaderReader, createHeaderWriter, type Headers } from "./header-block.ts";

/** A stream that the client opened. Reading ends when the client has ended its half; `end` ends the other. */
export interface SpdyStream {
  readonly id: number;
  readonly headers: Headers;
  readonly data: Duplex;
}

export interface SpdySession {
  /** Says goodbye, waits shortly for the client to end its streams, and closes the connection. */
  close(): Promise<void>;
  /** Settles when the connection is closed. */
  readonly closed: Promise<void>;
}

/** Streams at once. */
const mostStreams = 2_000;
/** Bytes of a stream that nobody has read yet; with more, nothing is read from the connection. */
const mostUnread = 256 << 10;
/** Bytes after which a stream's reader is told to send more, where the client counts. */
const creditStep = 32 << 10;
/** SPDY/3: what a client may be sent before it gives more credit. */
const firstCredit = 64 << 10;
const initialWindowSetting = 7;
/** Longest data frame that is sent. */
const mostData = 1 << 20;
/** Milliseconds that the client has to end its streams after a goodbye. */
const partingMs = 3_000;

interface Open {
  readonly data: Duplex;
  /** Bytes that may be sent, where the client counts. */
  credit: number;
  uncredited: number;
  remoteEnded: boolean;
  localEnded: boolean;
  waiting: (() => void) | undefined;
}

/**
 * The server's side of SPDY/3.1 on a connection: clients open streams, each is answered at once and handed to `onStream`.
 *
 * Flow control: client-go (spdystream) neither counts windows nor gives credit, so credit is asked for only from a peer that has shown
 * that it counts (SETTINGS or WINDOW_UPDATE); from all others TCP's own is what holds a sender back.
 */
export function serveSpdy(connection: Duplex, onStream: (stream: SpdyStream) => void): SpdySession {
  const streams = new Map<number, Open>();
  const full = new Set<number>();
  const readHeaders = createHeaderReader();
  const writeHeaders = createHeaderWriter();
  let counts = false;
  let firstStreamCredit = firstCredit;
  let sessionCredit = firstCredit;
  let sessionUncredited = 0;
  let lastId = 0;
  let parting = false;
  let onEmpty = (): void => {};

  const send = (frame: ControlFrame): void => {
    if (connection.writable) connection.write(encodeControl(frame));
  };

  const forget = (id: number): void => {
    streams.delete(id);
    if (full.delete(id) && full.size === 0) connection.resume();
    if (streams.size === 0) onEmpty();
  };
  const ended = (id: number, open: Open): void => {
    if (open.remoteEnded && open.localEnded) forget(id);
  };
  const wakeAll = (): void => {
    for (const { waiting } of streams.values()) waiting?.();
  };

  /** At once, not when it is read: a reader that lags stops the whole connection. */
  const giveCredit = (id: number, open: Open, size: number, last: boolean): void => {
    open.uncredited += size;
    sessionUncredited += size;
    if (open.uncredited >= creditStep && !last) {
      send({ type: "WINDOW_UPDATE", id, delta: open.uncredited });
      open.uncredited = 0;
    }
    if (sessionUncredited >= creditStep) {
      send({ type: "WINDOW_UPDATE", id: 0, delta: sessionUncredited });
      sessionUncredited = 0;
    }
  };

  const openStream = (id: number, headers: Headers, fin: boolean): void => {
    const write = (chunk: Buffer, done: (error?: Error | null) => void): void => {
      const step = (rest: Buffer): void => {
        if (rest.length === 0) return done();
        if (!connection.writable) return done(new SpdyError("CLOSED", "the connection is closed"));
        const most = counts ? Math.min(open.credit, sessionCredit, mostData) : mostData;
        if (most <= 0) {
          open.waiting = () => {
            open.waiting = undefined;
            step(rest);
          };
          return;
        }
        const piece = rest.subarray(0, most);
        open.credit -= piece.length;
        sessionCredit -= piece.length;
        connection.cork();
        connection.write(dataHead(id, piece.length, false));
        connection.write(piece, (error) => (error ? done(error) : step(rest.subarray(piece.length))));
        connection.uncork();
      };
      step(chunk);
    };
    const data = new Duplex({
      readableHighWaterMark: mostUnread,
      read() {
        if (full.delete(id) && full.size === 0) connection.resume();
      },
      write: (chunk: Buffer, _, done) => write(chunk, done),
      final(done) {
        open.localEnded = true;
        if (connection.writable) connection.write(dataHead(id, 0, true));
        ended(id, open);
        done();
      },
      destroy(error, done) {
        if (streams.has(id)) {
          if (!error || (error as SpdyError).code !== "RESET")
            send({ type: "RST_STREAM", id, status: resetStatus.cancel });
          forget(id);
        }
        open.waiting = undefined;
        done(error);
      },
    });
    const open: Open = {
      data,
      credit: firstStreamCredit,
      uncredited: 0,
      remoteEnded: false,
      localEnded: false,
      waiting: undefined,
    };
    // Whoever uses a stream learns of its end; one that nobody uses may end without harm.
    data.on("error", () => {});
    streams.set(id, open);
    send({ type: "SYN_REPLY", id, fin: false, block: writeHeaders(new Map()) });
    if (fin) endRemote(id, open);
    onStream({ id, headers, data });
  };

  const endRemote = (id: number, open: Open): void => {
    open.remoteEnded = true;
    open.data.push(null);
    ended(id, open);
  };

  const onControl = (frame: ControlFrame): void => {
    switch (frame.type) {
      case "SYN_STREAM": {
        const headers = readHeaders(frame.block);
        if (frame.id <= lastId || frame.id % 2 === 0)
          throw new SpdyError("PROTOCOL", `stream ${frame.id} is out of order`);
        lastId = frame.id;
        if (parting || streams.size >= mostStreams)
          return send({ type: "RST_STREAM", id: frame.id, status: resetStatus.refusedStream });
        return openStream(frame.id, headers, frame.fin);
      }
      case "SYN_REPLY":
      case "HEADERS": {
        // Read even where they say nothing of interest: what follows refers to them.
        readHeaders(frame.block);
        const open = streams.get(frame.id);
        if (open && frame.fin && !open.remoteEnded) endRemote(frame.id, open);
        return;
      }
      case "RST_STREAM": {
        const open = streams.get(frame.id);
        open?.data.destroy(new SpdyError("RESET", "the client reset the stream"));
        return;
      }
      case "PING":
        // Clients number theirs odd; an even one would be an answer, and none is asked for.
        if (frame.id % 2 === 1) send(frame);
        return;
      case "SETTINGS": {
        const size = frame.values.get(initialWindowSetting);
        if (size === undefined) return;
        counts = true;
        for (const open of streams.values()) open.credit += size - firstStreamCredit;
        firstStreamCredit = size;
        return wakeAll();
      }
      case "WINDOW_UPDATE": {
        counts = true;
        if (frame.id === 0) sessionCredit += frame.delta;
        else {
          const open = streams.get(frame.id);
          if (open) open.credit += frame.delta;
        }
        return wakeAll();
      }
      case "GOAWAY":
        parting = true;
        if (streams.size === 0) connection.end();
        else onEmpty = () => connection.end();
        return;
    }
  };

  const onData = (id: number, chunk: Buffer, fin: boolean): void => {
    const open = streams.get(id);
    if (!open || open.remoteEnded) {
      if (!open && id > lastId) send({ type: "RST_STREAM", id, status: resetStatus.invalidStream });
      return;
    }
    if (chunk.length > 0) {
      giveCredit(id, open, chunk.length, fin);
      if (!open.data.push(chunk)) {
        full.add(id);
        connection.pause();
      }
    }
    if (fin) endRemote(id, open);
  };

  let pings = 0;
  const stopPinging = startPinging({
    isPaused: () => full.size > 0,
    // A server's are even; their answers say nothing that is not known.
    ping: () => send({ type: "PING", id: (pings = (pings + 2) & 0x7fffffff) }),
  });
  const read = createFrameReader({ control: onControl, data: onData });
  connection.on("data", (chunk: Buffer) => {
    try {
      read(chunk);
    } catch (error) {
      send({ type: "GOAWAY", id: lastId, status: resetStatus.protocolError });
      connection.destroy(error as Error);
    }
  });
  const closed = new Promise<void>((resolve) => {
    const over = (): void => {
      stopPinging();
      for (const { data } of streams.values()) data.destroy(new SpdyError("RESET", "the connection is closed"));
      resolve();
    };
    connection.once("close", over);
    connection.once("end", () => {
      // Nothing more comes: streams that wait for it would wait for ever.
      for (const { data, remoteEnded } of streams.values())
        if (!remoteEnded) data.destroy(new SpdyError("RESET", "the connection is closed"));
      connection.end();
    });
    connection.on("error", () => {});
    if (connection.destroyed) over();
  });

  return {
    closed,
    async close() {
      if (connection.destroyed) return closed;
      parting = true;
      send({ type: "GOAWAY", id: lastId, status: 0 });
      const timer = setTimeout(() => connection.destroy(), partingMs);
      onEmpty = () => connection.end();
      if (streams.size === 0) onEmpty();
      await closed;
      clearTimeout(timer);
    },
  };
}
