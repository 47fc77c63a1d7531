import { Duplex } from "node:stream";
import { afterEach, expect, test } from "vitest";
import { dictionary } from "./dictionary.ts";
import { encodeControl } from "./frames.ts";
import { serveSpdy, type SpdyStream } from "./session.ts";
import { createTestSpdyClient } from "./test-client.ts";

/** Two ends of a connection in memory. */
function pair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const end = (other: number): Duplex =>
    new Duplex({
      read: () => resume[1 - other]?.(),
      write(chunk, _, done) {
        if (ends[other]?.push(chunk) === false) resume[other] = () => ((resume[other] = undefined), done());
        else done();
      },
      final: (done) => (ends[other]?.push(null), done()),
      destroy: (_, done) => (ends[other]?.push(null), done(null)),
      allowHalfOpen: other === 1,
    });
  const resume: (undefined | (() => void))[] = [];
  // `read` of an end lets go of what the other end waits to write into it.
  ends.push(end(1), end(0));
  const [a, b] = ends as [Duplex, Duplex];
  a.on("error", () => {});
  b.on("error", () => {});
  return [a, b];
}

const open: Duplex[] = [];
afterEach(() => {
  for (const duplex of open.splice(0)) duplex.destroy();
});

function start(onStream: (stream: SpdyStream) => void) {
  const [near, far] = pair();
  open.push(near, far);
  return { session: serveSpdy(near, onStream), client: createTestSpdyClient(far), near, far };
}

test("the dictionary is the draft's: its Adler-32 is the one that zlib streams name", () => {
  let [a, b] = [1, 0];
  for (const byte of dictionary) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  expect(((b * 65_536 + a) >>> 0).toString(16)).toBe("e3c6a7c2");
});

test("streams carry headers and data both ways, and end half by half", async () => {
  const { client } = start(({ headers, data }) => {
    data.write(`${headers.get("streamtype")}:`);
    data.on("data", (chunk: Buffer) => data.write(chunk.toString().toUpperCase()));
    data.on("end", () => data.end("!"));
  });
  const first = await client.open({ streamtype: "stdin", port: "80" });
  const second = await client.open({ streamtype: "error", port: "80", requestid: "0" });
  client.send(second, "two", true);
  client.send(first, "one");
  client.send(first, "", true);
  await client.until(() => client.received(first).ended && client.received(second).ended);
  expect(client.received(first).text).toBe("stdin:ONE!");
  expect(client.received(second).text).toBe("error:TWO!");
  expect(client.frames.filter(({ type }) => type === "SYN_REPLY")).toHaveLength(2);
});

test("a megabyte goes through to a client that never gives credit", async () => {
  const { client } = start(({ data }) => data.end(Buffer.alloc(1 << 20, "x")));
  const id = await client.open({});
  await client.until(() => client.received(id).ended);
  expect(client.received(id).bytes).toBe(1 << 20);
});

test("a client that counts is sent what it has given credit for", async () => {
  const { client } = start(({ data }) => data.end(Buffer.alloc(100_000, "x")));
  client.control({ type: "SETTINGS", values: new Map([[7, 1000]]) });
  const id = await client.open({});
  await client.until(() => client.received(id).bytes === 1000);
  client.control({ type: "WINDOW_UPDATE", id, delta: 500 });
  await client.until(() => client.received(id).bytes === 1500);
  expect(client.received(id).ended).toBe(false);
  client.control({ type: "WINDOW_UPDATE", id, delta: 200_000 });
  client.control({ type: "WINDOW_UPDATE", id: 0, delta: 200_000 });
  await client.until(() => client.received(id).ended);
  expect(client.received(id).bytes).toBe(100_000);
});

test("credit is given for what came", async () => {
  const { client } = start(({ data }) => data.resume());
  const id = await client.open({});
  client.send(id, Buffer.alloc(40_000));
  await client.until(() => client.frames.some((frame) => frame.type === "WINDOW_UPDATE" && frame.id === id));
  expect(client.frames).toContainEqual({ type: "WINDOW_UPDATE", id, delta: 40_000 });
});

test("who does not read stops the sender, and goes on when it reads", async () => {
  const streams: SpdyStream[] = [];
  const { client, near } = start((stream) => streams.push(stream));
  const id = await client.open({});
  for (let i = 0; i < 32; i++) client.send(id, Buffer.alloc(64 << 10));
  client.send(id, "", true);
  await client.until(() => streams.length === 1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(near.isPaused()).toBe(true);
  let size = 0;
  for await (const chunk of streams[0]?.data ?? []) size += (chunk as Buffer).length;
  expect(size).toBe(2 << 20);
});

test("pings are answered, unknown frames skipped, resets end a stream", async () => {
  const ends: string[] = [];
  const { client, far } = start(({ data }) => {
    data.on("error", (error) => ends.push((error as { code?: string }).code ?? ""));
    data.on("close", () => ends.push("closed"));
  });
  far.write(Buffer.from([0x80, 3, 0, 77, 0, 0, 0, 2, 1, 2]));
  client.control({ type: "PING", id: 7 });
  await client.until(() => client.frames.some((frame) => frame.type === "PING" && frame.id === 7));
  const id = await client.open({});
  client.control({ type: "RST_STREAM", id, status: 5 });
  client.control({ type: "PING", id: 9 });
  await client.until(() => client.frames.some((frame) => frame.type === "PING" && frame.id === 9));
  await new Promise((resolve) => setImmediate(resolve));
  expect(ends).toEqual(["RESET", "closed"]);
});

test("close says goodbye and ends when the client has ended its streams", async () => {
  const { client, session } = start(({ data }) => data.end("bye"));
  const id = await client.open({});
  await client.until(() => client.received(id).ended);
  const closed = session.close();
  client.send(id, "", true);
  await closed;
  expect(client.frames.some(({ type }) => type === "GOAWAY")).toBe(true);
});

test.each([
  ["not SPDY/3", Buffer.from([0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1])],
  ["a control frame that is too long", Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff])],
  [
    "a block that can not be inflated",
    encodeControl({ type: "SYN_STREAM", id: 1, fin: false, block: Buffer.from("nonsense") }),
  ],
  ["a SETTINGS of a wrong length", Buffer.from([0x80, 3, 0, 4, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff])],
])("%s closes the connection", async (_, bytes) => {
  const { session, far } = start(() => {});
  far.write(bytes);
  await session.closed;
});
