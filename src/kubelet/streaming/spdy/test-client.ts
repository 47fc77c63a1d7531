import { once } from "node:events";
import type { Duplex } from "node:stream";
import { constants, createDeflate } from "node:zlib";
import { dictionary } from "./dictionary.ts";
import { type ControlFrame, createFrameReader, dataHead, encodeControl } from "./frames.ts";
import { createHeaderReader } from "./header-block.ts";

/** A client of SPDY for tests, with real compression as Go's client has it. */
export interface TestSpdyClient {
  readonly frames: readonly ControlFrame[];
  /** What came on a stream, and whether it has ended. */
  received(id: number): { readonly text: string; readonly bytes: number; readonly ended: boolean };
  open(headers: Readonly<Record<string, string>>, fin?: boolean): Promise<number>;
  send(id: number, data: string | Buffer, fin?: boolean): void;
  control(frame: ControlFrame): void;
  /** Settles when `condition` holds after a frame. */
  until(condition: () => boolean): Promise<void>;
}

/** Header blocks as zlib makes them with SPDY's dictionary. */
export function createTestCompressor(): (headers: Readonly<Record<string, string>>) => Promise<Buffer> {
  const deflate = createDeflate({ dictionary });
  return async (headers) => {
    const parts: Buffer[] = [];
    const number = (value: number): void => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      parts.push(bytes);
    };
    const entries = Object.entries(headers);
    number(entries.length);
    for (const text of entries.flat()) {
      number(text.length);
      parts.push(Buffer.from(text, "latin1"));
    }
    deflate.write(Buffer.concat(parts));
    await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve));
    if (deflate.readableLength === 0) await once(deflate, "readable");
    return deflate.read() as Buffer;
  };
}

export function createTestSpdyClient(connection: Duplex): TestSpdyClient {
  const frames: ControlFrame[] = [];
  const streams = new Map<number, { chunks: Buffer[]; ended: boolean }>();
  const waiters = new Set<() => void>();
  const compress = createTestCompressor();
  const readHeaders = createHeaderReader();
  let next = 1;
  const streamOf = (id: number) => {
    const stream = streams.get(id) ?? { chunks: [], ended: false };
    streams.set(id, stream);
    return stream;
  };
  const wake = (): void => {
    for (const waiter of waiters) waiter();
  };
  const read = createFrameReader({
    control(frame) {
      if (frame.type === "SYN_REPLY") readHeaders(frame.block);
      frames.push(frame);
      wake();
    },
    data(id, chunk, fin) {
      const stream = streamOf(id);
      if (chunk.length > 0) stream.chunks.push(chunk);
      stream.ended ||= fin;
      wake();
    },
  });
  connection.on("data", read);
  connection.on("error", () => {});
  return {
    frames,
    received(id) {
      const { chunks, ended } = streamOf(id);
      const all = Buffer.concat(chunks);
      return { text: all.toString(), bytes: all.length, ended };
    },
    async open(headers, fin = false) {
      const id = next;
      next += 2;
      connection.write(encodeControl({ type: "SYN_STREAM", id, fin, block: await compress(headers) }));
      return id;
    },
    send(id, data, fin = false) {
      connection.write(Buffer.concat([dataHead(id, Buffer.byteLength(data), fin), Buffer.from(data)]));
    },
    control: (frame) => void connection.write(encodeControl(frame)),
    until: (condition) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!condition()) return;
          waiters.delete(check);
          resolve();
        };
        waiters.add(check);
        check();
      }),
  };
}
