import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { dataHead, encodeControl } from "./frames.ts";
import { serveSpdy } from "./session.ts";
import { createTestCompressor } from "./test-client.ts";

/** Numbers that look random and are the same at every run (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function corpus(): Promise<Buffer> {
  const compress = createTestCompressor();
  return Buffer.concat([
    encodeControl({ type: "SETTINGS", values: new Map([[7, 65_536]]) }),
    encodeControl({ type: "SYN_STREAM", id: 1, fin: false, block: await compress({ streamtype: "data", port: "80" }) }),
    Buffer.concat([dataHead(1, 5, false), Buffer.from("hello")]),
    encodeControl({ type: "SYN_STREAM", id: 3, fin: true, block: await compress({ streamtype: "error" }) }),
    encodeControl({ type: "PING", id: 1 }),
    encodeControl({ type: "WINDOW_UPDATE", id: 1, delta: 100 }),
    Buffer.concat([dataHead(1, 0, true)]),
    encodeControl({ type: "RST_STREAM", id: 3, status: 5 }),
    encodeControl({ type: "GOAWAY", id: 0, status: 0 }),
  ]);
}

test("whatever comes, in whatever pieces: a session ends or goes on, and holds no more than it was given", async () => {
  const good = await corpus();
  for (let seed = 1; seed <= 1500; seed++) {
    const next = random(seed);
    const bytes = Buffer.from(good);
    const changes = Math.floor(next() * 8);
    for (let i = 0; i < changes; i++) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
    const connection = new PassThrough();
    // What the session says goes nowhere: both ends of this stream would be one.
    const said: number[] = [];
    connection.write = ((chunk: Uint8Array, done?: unknown) => {
      said.push(chunk.length);
      if (typeof done === "function") (done as () => void)();
      return true;
    }) as typeof connection.write;
    let streams = 0;
    const session = serveSpdy(connection, ({ data }) => {
      streams++;
      data.resume();
    });
    for (let at = 0; at < bytes.length;) {
      const size = 1 + Math.floor(next() * 40);
      if (connection.destroyed) break;
      connection.push(bytes.subarray(at, at + size));
      at += size;
    }
    await new Promise((resolve) => setImmediate(resolve));
    connection.destroy();
    await session.closed;
    expect(streams, `seed ${seed}`).toBeLessThanOrEqual(2);
    expect(said.length, `seed ${seed}`).toBeLessThan(100);
  }
});

test("a header block that inflates without end is refused at its limit", async () => {
  const connection = new PassThrough();
  connection.write = (() => true) as typeof connection.write;
  const session = serveSpdy(connection, () => {});
  const block = await createTestCompressor()({ bomb: "x".repeat(4 << 20) });
  expect(block.length).toBeLessThan(60_000);
  connection.push(encodeControl({ type: "SYN_STREAM", id: 1, fin: false, block }));
  await session.closed;
  expect(connection.errored).toMatchObject({ code: "PROTOCOL" });
});
