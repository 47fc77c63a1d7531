import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { defaultLimits, type Limits } from "../limits.ts";
import { createEndpointConnections, type EndpointConnections, type ExchangeFailure } from "./endpoint-connections.ts";

const clean: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const each of clean.splice(0).reverse()) await each();
});

/** An endpoint that does with each request what `act` says; `connections` counts those that it was asked for. */
async function endpointThat(
  act: (socket: Socket, request: string) => void,
  limits: Partial<Limits> = {},
): Promise<{ connections: EndpointConnections; opened: () => number }> {
  let opened = 0;
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    opened++;
    open.add(socket);
    socket.on("data", (bytes) => act(socket, bytes.toString("latin1"))).on("error", () => {});
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connections = createEndpointConnections({
    address: "127.0.0.1",
    port,
    limits: { ...defaultLimits, ...limits },
  });
  clean.push(async () => {
    for (const socket of open) socket.destroy();
    await connections.close();
    server.close();
  });
  return { connections, opened: () => opened };
}

interface Got {
  status?: number;
  body: string;
  trailers?: readonly string[];
  failed?: ExchangeFailure;
}

function ask(connections: EndpointConnections, method = "GET"): Promise<Got> {
  return new Promise((resolve) => {
    const got: Got = { body: "" };
    connections.send(`${method} / HTTP/1.1\r\nhost: x\r\n\r\n`, method, {
      begin: ({ status }) => void (got.status = status),
      data: (bytes, start, end) => void (got.body += bytes.toString("latin1", start, end)),
      flush(trailers) {
        if (trailers) resolve({ ...got, trailers });
        return true;
      },
      failed: (failed) => resolve({ ...got, failed }),
    });
  });
}

const answer = (...lines: readonly string[]): string => `${lines.join("\r\n")}\r\n\r\n`;
const short = `${answer("HTTP/1.1 200 OK", "content-length: 2")}ok`;

describe("connections to an endpoint", () => {
  test("are used again, one request at a time", async () => {
    const { connections, opened } = await endpointThat((socket) => socket.write(short));
    for (let i = 0; i < 3; i++) expect(await ask(connections)).toEqual({ status: 200, body: "ok", trailers: [] });
    expect(opened()).toBe(1);
    await Promise.all([ask(connections), ask(connections)]);
    expect(opened()).toBe(2);
  });

  test("a request that could not be repeated goes by none that has been idle for long, and leaves no heap of them", async () => {
    const { connections, opened } = await endpointThat((socket) => socket.write(short), { endpointTrust: 30 });
    const pause = () => new Promise((resolve) => setTimeout(resolve, 60));
    await ask(connections, "POST");
    await ask(connections, "POST");
    expect(opened()).toBe(1);
    await pause();
    await ask(connections, "PUT");
    expect(opened()).toBe(1);
    await pause();
    await ask(connections, "POST");
    expect(opened()).toBe(2);
    await pause();
    // The one that was there before has made room.
    await Promise.all([ask(connections), ask(connections)]);
    expect(opened()).toBe(3);
  });

  test.each([
    ["a length", short, "ok", []],
    [
      "chunks and trailers",
      `${answer("HTTP/1.1 200 OK", "transfer-encoding: chunked")}1\r\no\r\n1\r\nk\r\n0\r\na: b\r\n\r\n`,
      "ok",
      ["a", "b"],
    ],
    [
      "answers before it",
      `${answer("HTTP/1.1 103 Early Hints", "link: x")}${answer("HTTP/1.1 100 Continue")}${short}`,
      "ok",
      [],
    ],
  ] as const)("read an answer with %s, byte for byte", async (_what, text, body, trailers) => {
    const { connections } = await endpointThat((socket) => {
      void (async () => {
        for (const byte of text) {
          socket.write(byte);
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
    });
    expect(await ask(connections)).toEqual({ status: 200, body, trailers });
  });

  test("read an answer until the connection ends, and use that no more", async () => {
    const { connections, opened } = await endpointThat((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nall of it"));
    expect(await ask(connections)).toMatchObject({ body: "all of it", trailers: [] });
    expect(await ask(connections)).toMatchObject({ body: "all of it", trailers: [] });
    expect(opened()).toBe(2);
  });

  test("do not take for the next answer what came behind this one", async () => {
    const { connections, opened } = await endpointThat((socket) =>
      socket.write(`${short}${answer("HTTP/1.1 200 OK", "content-length: 5")}wrong`),
    );
    expect(await ask(connections)).toMatchObject({ body: "ok" });
    expect(await ask(connections)).toMatchObject({ body: "ok" });
    expect(opened()).toBe(2);
  });

  test("nor what comes unasked", async () => {
    const held: Socket[] = [];
    const { connections, opened } = await endpointThat((socket) => {
      held.push(socket);
      socket.write(short);
    });
    await ask(connections);
    const [first] = held;
    if (!first) throw new Error("no connection");
    const closed = once(first, "close");
    first.write(answer("HTTP/1.1 200 OK", "content-length: 0"));
    await closed;
    expect(await ask(connections)).toMatchObject({ body: "ok" });
    expect(opened()).toBe(2);
  });

  test.each([
    [
      "a length beside chunks",
      answer("HTTP/1.1 200 OK", "content-length: 1", "transfer-encoding: chunked"),
      "malformed",
    ],
    ["another protocol", answer("HTTP/1.1 101 Switching Protocols", "upgrade: x"), "malformed"],
    ["an endless header section", `HTTP/1.1 200 OK\r\na: ${"b".repeat(40_000)}`, "malformed"],
    ["chunks that are none", `${answer("HTTP/1.1 200 OK", "transfer-encoding: chunked")}x\r\n`, "cut"],
  ] as const)("fail by %s", async (_what, text, failed) => {
    const { connections } = await endpointThat((socket) => socket.write(text));
    expect(await ask(connections)).toMatchObject({ failed });
  });

  test("tell a loss before an answer from one in its middle", async () => {
    const before = await endpointThat((socket) => socket.destroy());
    expect(await ask(before.connections)).toMatchObject({ failed: "lost" });
    const amid = await endpointThat((socket) => socket.end(`${answer("HTTP/1.1 200 OK", "content-length: 9")}abc`));
    expect(await ask(amid.connections)).toMatchObject({ failed: "cut", body: "abc" });
  });

  test("say that there was none", async () => {
    const connections = createEndpointConnections({ address: "127.0.0.1", port: 1, limits: defaultLimits });
    expect(await ask(connections)).toMatchObject({ failed: "unconnected" });
  });

  test("close when the last answer has ended", async () => {
    let finish: () => void = () => {};
    const { connections } = await endpointThat((socket) => (finish = () => socket.write(short)));
    const asked = ask(connections);
    let closed = false;
    const closing = connections.close().then(() => (closed = true));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(closed).toBe(false);
    finish();
    // It may not have been asked yet.
    const again = setInterval(() => finish(), 5);
    expect(await asked).toMatchObject({ body: "ok" });
    clearInterval(again);
    await closing;
  });
});
