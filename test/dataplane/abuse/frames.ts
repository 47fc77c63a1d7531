// HTTP/2 by hand (RFC 9113 section 4): what no well-behaved client library would send.
import { connect as connectTls, type TLSSocket } from "node:tls";

export const types = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
};
export const flags = { endStream: 1, endHeaders: 4 };

export function frame(type: number, flag: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flag, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Identifier 4: the window of each stream that is opened from then on. */
export function initialWindow(bytes: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(4, 0);
  payload.writeUInt32BE(bytes, 2);
  return payload;
}

export const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

const authority = Buffer.concat([Buffer.from([0x01, "shop.test".length]), Buffer.from("shop.test", "latin1")]);

/** `GET /` of `shop.test` by HPACK: three fields of the static table, and `:authority` as it is (RFC 7541 appendix A, section 6.2.2). */
export const getRoot = Buffer.concat([Buffer.from([0x82, 0x87, 0x84]), authority]);

/** The same for `/flood`. */
export const getFlood = Buffer.concat([
  Buffer.from([0x82, 0x87, 0x04, "/flood".length]),
  Buffer.from("/flood", "latin1"),
  authority,
]);

/** A field that is sent without being indexed. */
export function field(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name, "latin1"),
    Buffer.from([value.length]),
    Buffer.from(value, "latin1"),
  ]);
}

export interface RawConnection {
  readonly socket: TLSSocket;
  /** Types of the frames that came, and how often. */
  readonly seen: ReadonlyMap<number, number>;
  /** True once the server has closed the connection, or said that it will. */
  ended(): boolean;
  close(): void;
}

/** Connects, and says what each connection begins with. Frames that come are counted. */
export async function connectRaw(port: number, settings: Buffer = Buffer.alloc(0)): Promise<RawConnection> {
  const socket = connectTls({
    host: "127.0.0.1",
    port,
    servername: "shop.test",
    ALPNProtocols: ["h2"],
    rejectUnauthorized: false,
  });
  const seen = new Map<number, number>();
  let closed = false;
  let left: Buffer = Buffer.alloc(0);
  socket.on("error", () => {});
  socket.on("close", () => (closed = true));
  socket.on("end", () => (closed = true));
  socket.on("data", (chunk: Buffer) => {
    left = Buffer.concat([left, chunk]);
    while (left.length >= 9) {
      const length = left.readUIntBE(0, 3);
      if (left.length < 9 + length) return;
      const type = left.readUInt8(3);
      seen.set(type, (seen.get(type) ?? 0) + 1);
      left = left.subarray(9 + length);
    }
  });
  await new Promise<void>((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(frame(types.settings, 0, 0, settings));
  return { socket, seen, ended: () => closed || seen.has(types.goAway), close: () => socket.destroy() };
}
