import { mkdtempSync, rmSync } from "node:fs";
import http2 from "node:http2";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApiServer, openPki, serveHttps } from "../../src/apiserver/index.ts";
import { createMemoryStore } from "../../src/store/index.ts";
import { silentLogger, systemClock } from "../../src/system/index.ts";

// What a client without credentials may send to keep an API server busy (CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27983 and their like): memory stays
// bounded, and others are answered meanwhile and afterwards.

/** Frames of one flood. */
const frames = 30_000;
/** Bytes that this process, with the attacker in it, may grow by. */
const mostGrowth = 256 << 20;

const folder = mkdtempSync(join(tmpdir(), "floods-"));
const ended = new AbortController();
const closed: (() => Promise<unknown>)[] = [];
let port = 0;
/** Requests that have reached the API. */
let handled = 0;
let ca = "";

beforeAll(async () => {
  const store = createMemoryStore();
  const pki = await openPki(join(folder, "pki"), systemClock);
  const { signal } = ended;
  const server = createApiServer({
    store,
    clock: systemClock,
    log: silentLogger,
    signal,
    serviceCidrs: ["10.96.0.0/16"],
    advertise: { address: "192.0.2.1", port: 6443 },
    kubelet: { open: () => Promise.reject(new Error("no kubelet")) },
  });
  await server.ready;
  const counting: typeof server.handler = {
    ...server.handler,
    handle: (request) => {
      handled++;
      return server.handler.handle(request);
    },
  };
  const served = await serveHttps(counting, {
    host: "127.0.0.1",
    port: 0,
    ...(await pki.server("server", { name: "server", hosts: ["127.0.0.1"] })),
    clientCa: pki.ca,
    signal,
    log: silentLogger,
  });
  ({ port } = served);
  ({ ca } = pki);
  closed.push(
    () => served.stopped,
    () => server.stopped,
    () => store.close(),
  );
});
afterAll(async () => {
  ended.abort();
  for (const close of closed) await close();
  rmSync(folder, { recursive: true });
});

const type = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, continuation: 9 } as const;
const flag = { endStream: 1, endHeaders: 4 } as const;

function frame(kind: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.byteLength, 0, 3);
  head[3] = kind;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** `:scheme https`, `:authority x`, and a method and path from HPACK's static table. */
const request = (method: "GET" | "POST") => Buffer.from([method === "GET" ? 0x82 : 0x83, 0x87, 0x84, 0x41, 1, 0x78]);

/** A connection that has said hello, and what it sent once it has been closed. */
async function attacker(): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, ca, ALPNProtocols: ["h2"] });
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("secureConnect", resolve));
  socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(type.settings, 0, 0)]));
  return socket;
}

/** Sends frames as fast as they are taken, until the server ends the connection or there are no more. True: the server ended it. */
async function flood(socket: TLSSocket, make: (i: number) => Buffer): Promise<boolean> {
  const perWrite = 50;
  for (let i = 0; i < frames && !socket.destroyed && socket.writable; i += perWrite) {
    const some = Buffer.concat(Array.from({ length: perWrite }, (_, j) => make(i + j)));
    if (socket.write(some)) continue;
    await new Promise<void>((resolve) => {
      // A server that reads no more is as good as one that has ended it: what is buffered is bounded.
      const on = () => {
        clearTimeout(timer);
        socket.off("drain", on).off("close", on);
        resolve();
      };
      const timer = setTimeout(on, 2000);
      socket.on("drain", on).on("close", on);
    });
    if (socket.writableNeedDrain) break;
  }
  const isOver = await new Promise<boolean>((resolve) => {
    if (socket.destroyed || socket.readableEnded) resolve(true);
    const timer = setTimeout(() => resolve(false), socket.isPaused() ? 200 : 3000);
    for (const event of ["close", "end"]) {
      socket.once(event, () => {
        clearTimeout(timer);
        resolve(true);
      });
    }
  });
  socket.destroy();
  return isOver;
}

/** Another client asks over a connection of its own. */
function health(): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = https.get({ host: "127.0.0.1", port, ca, path: "/livez", agent: false }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    });
    asked.on("error", reject);
  });
}

const settings = frame(type.settings, 0, 0);
const ping = frame(type.ping, 0, 0, Buffer.alloc(8, 1));
/** An entry of 4,000 bytes for the dynamic table. */
const entry = Buffer.concat([Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4000, 0x62)]);

interface Flood {
  readonly first?: Buffer;
  readonly make: (i: number) => Buffer;
  /** The client does not read what it is answered. */
  readonly deaf?: boolean;
  /** The connection has to be ended; otherwise it is enough that others do not notice. */
  readonly ends?: boolean;
  /** Of its requests so many at most may come to be handled. */
  readonly most?: number;
}

const floods: Readonly<Record<string, Flood>> = {
  "headers without end": {
    first: frame(type.headers, flag.endStream, 1, request("GET")),
    make: () => frame(type.continuation, 0, 1, Buffer.alloc(16_000, 0x82)),
    ends: true,
  },
  "empty continuations": {
    first: frame(type.headers, flag.endStream, 1, request("GET")),
    make: () => frame(type.continuation, 0, 1),
    ends: true,
  },
  settings: { make: () => settings, deaf: true, ends: true },
  pings: { make: () => ping, deaf: true, ends: true },
  "requests that are taken back": {
    make: (i) =>
      Buffer.concat([
        frame(type.headers, flag.endStream | flag.endHeaders, 2 * i + 1, request("GET")),
        frame(type.reset, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8])),
      ]),
    most: 5000,
  },
  "requests whose answers nobody reads": {
    make: (i) => frame(type.headers, flag.endStream | flag.endHeaders, 2 * i + 1, request("GET")),
    deaf: true,
  },
  "bodies of nothing": {
    first: frame(type.headers, flag.endHeaders, 1, request("POST")),
    make: () => frame(type.data, 0, 1),
  },
  "a header many times": {
    first: frame(type.headers, flag.endStream | flag.endHeaders, 1, Buffer.concat([request("GET"), entry])),
    make: (i) =>
      frame(
        type.headers,
        flag.endStream | flag.endHeaders,
        2 * i + 3,
        Buffer.concat([request("GET"), Buffer.alloc(8000, 0xbe)]),
      ),
  },
};

describe("HTTP/2", () => {
  it.each(Object.entries(floods))("%s", async (_, { first, make, deaf = false, ends = false, most = frames }) => {
    const before = process.memoryUsage.rss();
    const handledBefore = handled;
    const socket = await attacker();
    if (deaf) socket.pause();
    else socket.resume();
    if (first) socket.write(first);
    const flooding = flood(socket, make);
    expect(await health()).toBe(200);
    const isOver = await flooding;
    expect(process.memoryUsage.rss() - before).toBeLessThan(mostGrowth);
    // Two are of those who ask for the health, beside.
    expect(handled - handledBefore).toBeLessThanOrEqual(most + 2);
    // Who does not read sees no end, either.
    if (ends && !deaf) expect(isOver).toBe(true);
    expect(await health()).toBe(200);
  });

  it("headers of many bytes are read, more are not", async () => {
    const ask = (bytes: number): Promise<number | string> =>
      new Promise((resolve) => {
        const session = http2.connect(`https://127.0.0.1:${port}`, { ca, maxSendHeaderBlockLength: 4 << 20 });
        session.on("error", () => resolve("refused"));
        session.once("remoteSettings", () => {
          const stream = session.request({ ":path": "/livez", "x-long": "a".repeat(bytes) });
          stream.on("response", ({ ":status": status }) => resolve(status ?? 0));
          stream.on("error", () => resolve("refused"));
          stream.on("close", () => {
            resolve("refused");
            session.destroy();
          });
          stream.resume();
        });
      });
    expect(await ask(100_000)).toBe(200);
    expect(["refused", 431]).toContain(await ask(3 << 20));
    expect(await health()).toBe(200);
  });
});

describe("HTTP/2", () => {
  it("as many headers as a user has groups are read, many more are refused with an answer", async () => {
    const session = http2.connect(`https://127.0.0.1:${port}`, { ca, maxSendHeaderBlockLength: 4 << 20 });
    const ask = (many: number): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = Object.fromEntries(Array.from({ length: many }, (_, i) => [`x-${i}`, "a"]));
        const stream = session.request({ ":path": "/livez", ...headers });
        stream.on("response", ({ ":status": status = 0 }) => resolve(status));
        stream.on("error", reject);
        stream.resume();
      });
    expect(await ask(1_000)).toBe(200);
    expect(await ask(2_500)).toBe(431);
    expect(await ask(1)).toBe(200);
    session.destroy();
  });
});

describe("HTTP/1.1", () => {
  const ask = (headers: Record<string, string>): Promise<number | string> =>
    new Promise((resolve) => {
      const asked = https.get({ host: "127.0.0.1", port, ca, path: "/livez", headers, agent: false }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode ?? 0));
      });
      asked.on("error", () => resolve("refused"));
    });

  it("headers of many bytes are read, more are not", async () => {
    expect(await ask({ "x-long": "a".repeat(900_000) })).toBe(200);
    expect(["refused", 431]).toContain(await ask({ "x-long": "a".repeat(2 << 20) }));
    expect(await health()).toBe(200);
  });

  it("many headers are no trouble", async () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`x-${i}`, "a"]));
    expect([200, 431, "refused"]).toContain(await ask(many));
    expect(await health()).toBe(200);
  });
});
