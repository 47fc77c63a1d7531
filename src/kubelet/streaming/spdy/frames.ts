import { SpdyError } from "./error.ts";

/** A control frame; header blocks are still compressed (SPDY/3 draft, section 2.6). */
export type ControlFrame =
  | { readonly type: "SYN_STREAM"; readonly id: number; readonly fin: boolean; readonly block: Buffer }
  | { readonly type: "SYN_REPLY" | "HEADERS"; readonly id: number; readonly fin: boolean; readonly block: Buffer }
  | { readonly type: "RST_STREAM" | "GOAWAY"; readonly id: number; readonly status: number }
  | { readonly type: "SETTINGS"; readonly values: ReadonlyMap<number, number> }
  | { readonly type: "PING"; readonly id: number }
  | { readonly type: "WINDOW_UPDATE"; readonly id: number; readonly delta: number };

export interface FrameListener {
  control(frame: ControlFrame): void;
  /** A piece of a data frame; `fin` with the last piece of the last one. */
  data(id: number, chunk: Buffer, fin: boolean): void;
}

const types = {
  SYN_STREAM: 1,
  SYN_REPLY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  HEADERS: 8,
  WINDOW_UPDATE: 9,
} as const;

/** RST_STREAM status codes that are sent. */
export const resetStatus = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5 } as const;

const version = 3;
const finFlag = 1;
const headLength = 8;
/** Longest control frame that is taken. Data frames are passed on piece by piece, so they may have any length. */
const mostControl = 64 << 10;

/** Takes bytes as they come and tells of frames. Throws SpdyError for what is no SPDY/3. */
export function createFrameReader(listener: FrameListener): (chunk: Buffer) => void {
  let held: Buffer = Buffer.alloc(0);
  let open: { readonly id: number; readonly fin: boolean; left: number } | undefined;

  return (chunk) => {
    let rest = held.length > 0 ? Buffer.concat([held, chunk]) : chunk;
    held = Buffer.alloc(0);
    while (rest.length > 0) {
      if (open) {
        const piece = rest.subarray(0, open.left);
        rest = rest.subarray(piece.length);
        const { id, fin } = open;
        open.left -= piece.length;
        const last = open.left === 0;
        if (last) open = undefined;
        listener.data(id, piece, fin && last);
        continue;
      }
      if (rest.length < headLength) break;
      const word = rest.readUInt32BE(0);
      const flags = rest.readUInt8(4);
      const length = rest.readUIntBE(5, 3);
      if (word >>> 31 === 0) {
        rest = rest.subarray(headLength);
        const fin = (flags & finFlag) !== 0;
        if (length > 0) open = { id: word, fin, left: length };
        else listener.data(word, rest.subarray(0, 0), fin);
        continue;
      }
      if (((word >>> 16) & 0x7fff) !== version) throw new SpdyError("PROTOCOL", "not SPDY/3");
      if (length > mostControl) throw new SpdyError("PROTOCOL", `a control frame of ${length} bytes is too long`);
      if (rest.length < headLength + length) break;
      const frame = controlFrame(word & 0xffff, flags, rest.subarray(headLength, headLength + length));
      rest = rest.subarray(headLength + length);
      if (frame) listener.control(frame);
    }
    // A copy: what is kept must not hold the whole chunk.
    if (rest.length > 0) held = Buffer.from(rest);
  };
}

/** Undefined for a type that is not known: such frames are skipped. */
function controlFrame(type: number, flags: number, body: Buffer): ControlFrame | undefined {
  const number = (at: number): number => {
    if (at + 4 > body.length) throw new SpdyError("PROTOCOL", "a control frame is cut off");
    return body.readUInt32BE(at);
  };
  const stream = (at: number): number => number(at) & 0x7fffffff;
  const fin = (flags & finFlag) !== 0;
  switch (type) {
    case types.SYN_STREAM: {
      if (body.length < 10) throw new SpdyError("PROTOCOL", "a SYN_STREAM is cut off");
      return { type: "SYN_STREAM", id: stream(0), fin, block: body.subarray(10) };
    }
    case types.SYN_REPLY:
    case types.HEADERS:
      return { type: type === types.HEADERS ? "HEADERS" : "SYN_REPLY", id: stream(0), fin, block: body.subarray(4) };
    case types.RST_STREAM:
    case types.GOAWAY:
      return { type: type === types.GOAWAY ? "GOAWAY" : "RST_STREAM", id: stream(0), status: number(4) };
    case types.SETTINGS: {
      const count = number(0);
      if (body.length !== 4 + count * 8) throw new SpdyError("PROTOCOL", "SETTINGS has a wrong length");
      const values = new Map<number, number>();
      for (let i = 0; i < count; i++) values.set(number(4 + i * 8) & 0xffffff, number(8 + i * 8));
      return { type: "SETTINGS", values };
    }
    case types.PING:
      return { type: "PING", id: number(0) };
    case types.WINDOW_UPDATE:
      return { type: "WINDOW_UPDATE", id: stream(0), delta: number(4) & 0x7fffffff };
    default:
      return undefined;
  }
}

/** The bytes of a control frame. */
export function encodeControl(frame: ControlFrame): Buffer {
  switch (frame.type) {
    case "SYN_STREAM":
      return control(types.SYN_STREAM, frame.fin, numbers(frame.id, 0), Buffer.alloc(2), frame.block);
    case "SYN_REPLY":
    case "HEADERS":
      return control(types[frame.type], frame.fin, numbers(frame.id), frame.block);
    case "RST_STREAM":
    case "GOAWAY":
      return control(types[frame.type], false, numbers(frame.id, frame.status));
    case "SETTINGS":
      return control(types.SETTINGS, false, numbers(frame.values.size, ...[...frame.values].flat()));
    case "PING":
      return control(types.PING, false, numbers(frame.id));
    default:
      return control(types.WINDOW_UPDATE, false, numbers(frame.id, frame.delta));
  }
}

/** The eight bytes before the data of a data frame. */
export function dataHead(id: number, length: number, fin: boolean): Buffer {
  const head = Buffer.alloc(headLength);
  head.writeUInt32BE(id & 0x7fffffff);
  head.writeUInt8(fin ? finFlag : 0, 4);
  head.writeUIntBE(length, 5, 3);
  return head;
}

function control(type: number, fin: boolean, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(headLength);
  head.writeUInt16BE(0x8000 | version, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt8(fin ? finFlag : 0, 4);
  head.writeUIntBE(body.length, 5, 3);
  return Buffer.concat([head, body]);
}

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => bytes.writeUInt32BE(value >>> 0, i * 4));
  return bytes;
}
