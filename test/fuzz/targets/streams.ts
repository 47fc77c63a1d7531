import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { createTestCompressor } from "../../../src/kubelet/streaming/spdy/test-client.ts";
import { dataHead, encodeControl } from "../../../src/kubelet/streaming/spdy/frames.ts";
import { serveSpdy } from "../../../src/kubelet/streaming/spdy/session.ts";
import { acceptWebSocket, openChannels } from "../../../src/kubelet/streaming/web-socket.ts";
import { lineSplitter } from "../../../src/kubelet/runtime/supervisor/protocol.ts";
import { streamFrame, streamFrameReader } from "../../../src/kubelet/runtime/supervisor/stream-protocol.ts";
import { decodeQuery, decodeResponse, encodeQuery, encodeReply, MessageError } from "../../../src/dns/message.ts";
import { broken, outcome, type Target } from "../target.ts";

/** A connection that a test feeds; what is sent on it goes nowhere and is counted. */
interface Line {
  readonly connection: Duplex;
  readonly sent: () => number;
}

function line(): Line {
  let sent = 0;
  const connection = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      sent += chunk.length;
      done();
    },
  });
  connection.on("error", () => {});
  return { connection, sent: () => sent };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Pushes an input in pieces, of sizes that the input itself gives. */
function feed(connection: Duplex, input: Buffer): void {
  for (let at = 0, i = 0; at < input.length && !connection.destroyed; i++) {
    const size = 1 + ((input[i % input.length] ?? 0) % 97);
    connection.push(input.subarray(at, at + size));
    at += size;
  }
}

export const spdy: Target = {
  name: "spdy",
  form: "bytes",
  async seeds() {
    const compress = createTestCompressor();
    const open = async (id: number, headers: Record<string, string>, fin = false) =>
      encodeControl({ type: "SYN_STREAM", id, fin, block: await compress(headers) });
    const streams = Buffer.concat([
      await open(1, { streamtype: "error" }),
      await open(3, { streamtype: "stdin" }),
      Buffer.concat([dataHead(3, 5, true), Buffer.from("hello")]),
    ]);
    const forward = createTestCompressor();
    return [
      streams,
      Buffer.concat([
        encodeControl({ type: "SETTINGS", values: new Map([[7, 65_536]]) }),
        encodeControl({
          type: "SYN_STREAM",
          id: 1,
          fin: false,
          block: await forward({ streamtype: "data", port: "80", requestid: "0" }),
        }),
        encodeControl({ type: "PING", id: 1 }),
        encodeControl({ type: "WINDOW_UPDATE", id: 1, delta: 100 }),
        encodeControl({ type: "WINDOW_UPDATE", id: 0, delta: 2 ** 31 - 1 }),
        Buffer.concat([dataHead(1, 0, true)]),
        encodeControl({ type: "RST_STREAM", id: 1, status: 5 }),
        encodeControl({ type: "GOAWAY", id: 0, status: 0 }),
      ]),
    ];
  },
  async run(input) {
    const { connection, sent } = line();
    let streams = 0;
    const session = serveSpdy(connection, ({ data, headers }) => {
      streams++;
      headers.get("streamtype");
      data.resume();
      data.on("error", () => {});
      data.end("answer");
    });
    feed(connection, input);
    await settled();
    await settled();
    const state = connection.errored
      ? connection.errored.message.replace(/\d+/g, "0")
      : connection.destroyed
        ? "closed"
        : "open";
    connection.destroy();
    await session.closed;
    if (streams > input.length / 8) broken(`${streams} streams from ${input.length} bytes`);
    if (sent() > 20 * input.length + 4096) broken(`${input.length} bytes are answered with ${sent()}`);
    return `${state} ${Math.min(streams, 3)}`;
  },
};

/** A frame as clients send it: masked, with a mask of zeros so that the data can be read. */
function frame(opcode: number, data: string | Buffer, fin = true): Buffer {
  const bytes = Buffer.from(data);
  const length = bytes.length < 126 ? [0x80 | bytes.length] : [0x80 | 126, bytes.length >> 8, bytes.length & 255];
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode, ...length, 0, 0, 0, 0]), bytes]);
}

const protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "base64.channel.k8s.io", ""];

/** First byte: which protocol. The rest: what the client sends after its upgrade. */
export const webSocket: Target = {
  name: "web-socket",
  form: "bytes",
  words: [
    "\x81\x80\0\0\0\0",
    "\x82\xfe\0\0",
    "\x82\xff\0\0\0\0\0\0\0\0",
    "\x89\x80\0\0\0\0",
    "\x88\x82\0\0\0\0\x03\xe8",
    "\xff\x00",
  ],
  seeds: () => [
    Buffer.concat([
      Buffer.of(0),
      frame(2, "\0stdin"),
      frame(2, '\x04{"Width":80,"Height":24}'),
      frame(2, Buffer.of(255, 0)),
      frame(8, Buffer.of(3, 232)),
    ]),
    Buffer.concat([Buffer.of(1), frame(2, "\0a", false), frame(0, "b"), frame(9, "ping"), frame(10, "pong")]),
    Buffer.concat([Buffer.of(2), frame(1, "0aGVsbG8="), frame(1, "4e30="), frame(1, "9x"), frame(1, "")]),
    Buffer.concat([Buffer.of(4), frame(2, Buffer.alloc(300, 1))]),
  ],
  async run(input) {
    const { connection, sent } = line();
    const request = {
      method: "GET",
      headers: {
        upgrade: "websocket",
        connection: "Upgrade",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
      },
    } as unknown as IncomingMessage;
    const protocol = protocols[(input[0] ?? 0) % protocols.length] ?? "";
    const ws = await acceptWebSocket(request, connection, Buffer.alloc(0), protocol);
    const channels = openChannels(ws, protocol);
    let taken = 0;
    for (const channel of [0, 4]) channels.readable(channel).on("data", (chunk: Buffer) => (taken += chunk.length));
    let code = 0;
    ws.on("close", (given) => (code = given));
    let fault = "";
    ws.on("error", (error) => (fault = error.message.replace(/\d+/g, "0")));
    feed(connection, input.subarray(1));
    for (let i = 0; i < 4; i++) await settled();
    ws.terminate();
    connection.destroy();
    await channels.closed;
    if (taken > input.length) broken(`${taken} bytes came out of ${input.length}`);
    if (sent() > 4 * input.length + 1024) broken(`${input.length} bytes are answered with ${sent()}`);
    return `${fault} ${code} ${taken > 0}`;
  },
};

/** What the kubelet and the supervisor of containers say to each other. */
export const supervisor: Target = {
  name: "supervisor",
  form: "bytes",
  seeds: () => [
    Buffer.concat([
      streamFrame(0, Buffer.from("in")),
      streamFrame(4, Buffer.of(0, 80, 0, 24)),
      streamFrame(3, Buffer.from('{"exitCode":0}')),
    ]),
    Buffer.concat([
      streamFrame(1, Buffer.alloc(200, 65)),
      streamFrame(6, Buffer.of(0, 0, 1, 0)),
      streamFrame(5, Buffer.alloc(0)),
    ]),
    '{"type":"exec"}\n{"a":1}\n\n',
  ],
  run(input) {
    const read = (step: number): string => {
      const channels = new Map<number, string>();
      const end = outcome([Error], () => {
        const reader = streamFrameReader((channel, data) =>
          channels.set(channel, (channels.get(channel) ?? "") + data.toString("latin1")),
        );
        for (let at = 0; at < input.length; at += step) reader(input.subarray(at, at + step));
      });
      return JSON.stringify([end, [...channels].toSorted(([a], [b]) => a - b)]);
    };
    const [whole, pieces] = [read(input.length || 1), read(3)];
    if (whole !== pieces) broken("frames in pieces are read in another way");
    const lines: string[] = [];
    const split = lineSplitter(
      (one) => lines.push(one),
      () => {},
    );
    for (let at = 0; at < input.length; at += 7) split(input.toString("latin1", at, at + 7));
    const wanted = input.toString("latin1").split("\n").slice(0, -1);
    if (lines.join("\n") !== wanted.filter((one) => one !== "").join("\n")) broken("lines are not what was sent");
    return `${whole.slice(0, 30)} ${Math.min(lines.length, 3)}`;
  },
};

export const dns: Target = {
  name: "dns",
  form: "bytes",
  words: ["\xc0\x0c", "\x00\x00\x29\x10\x00", "\x00\x1c\x00\x01", "\x3f"],
  seeds: () => [
    encodeQuery(1, "web.default.svc.cluster.local", "A"),
    encodeQuery(2, "1.0.0.10.in-addr.arpa", "PTR"),
    encodeReply(decodeQuery(encodeQuery(3, "a.b", "SRV")), { rcode: "NXDOMAIN" } as never, "udp"),
  ],
  run: (input) => [outcome([MessageError], () => decodeQuery(input)), outcome([], () => decodeResponse(input))].join(),
};
