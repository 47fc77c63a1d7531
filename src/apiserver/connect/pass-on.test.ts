import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createTcp } from "node:net";
import { type Duplex, Readable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import { passOn } from "./pass-on.ts";

let server: Server;
let port: number;
let asked: IncomingMessage[];
let bodies: string[];

beforeEach(async () => {
  asked = [];
  bodies = [];
  server = createServer((incoming, answer) => {
    asked.push(incoming);
    let body = "";
    incoming.on("data", (chunk: Buffer) => (body += chunk.toString()));
    incoming.on("end", () => {
      bodies.push(body);
      answer.writeHead(incoming.url === "/moved" ? 302 : 200, {
        location: "/elsewhere",
        connection: "x-private, close",
        "x-private": "1",
        "x-shown": "2",
      });
      answer.end("answer");
    });
  });
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    asked.push(incoming);
    socket.on("error", () => {});
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\nfirst ");
    socket.write(head);
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function requestOf(
  more: Partial<NonNullable<ApiRequest["transport"]>>,
  method: ApiRequest["method"] = "GET",
): ApiRequest {
  return {
    method,
    path: "/",
    query: new URLSearchParams(),
    headers: {},
    signal: new AbortController().signal,
    transport: { headers: {}, url: "/", upgrade: false, ...more },
  };
}

async function text(response: ApiResponse): Promise<string> {
  if (response.type !== "stream") throw new Error(`not a stream: ${response.type}`);
  let all = "";
  for await (const chunk of response.chunks) all += Buffer.from(chunk).toString();
  return all;
}

const to = (path = "/x?y=1") => ({ backend: { host: "127.0.0.1", port }, path, name: "pod web" });

test("what concerns a connection or says who the client is stays here", async () => {
  const headers = {
    authorization: "Bearer secret",
    "impersonate-user": "root",
    "x-remote-user": "root",
    connection: "keep-alive, x-hop",
    "x-hop": "1",
    te: "trailers",
    "transfer-encoding": "chunked",
    "x-own": "kept",
    host: "site",
    "sec-websocket-protocol": "base64url.bearer.authorization.k8s.io.c2VjcmV0, v4",
  };
  const response = await passOn(requestOf({ headers, body: Readable.from([]) }, "POST"), to());
  expect(await text(response)).toBe("answer");
  const seen = asked[0]?.headers ?? {};
  expect(seen).toMatchObject({ "x-own": "kept", host: "site", "sec-websocket-protocol": "v4" });
  for (const name of ["authorization", "impersonate-user", "x-remote-user", "x-hop", "te"])
    expect(seen).not.toHaveProperty(name);
  expect(response.headers).toMatchObject({ "x-shown": "2" });
  expect(response.headers).not.toHaveProperty("x-private");
  expect(response.headers).not.toHaveProperty("connection");
});

test("a redirect is the client's to follow", async () => {
  const response = await passOn(requestOf({}), to("/moved"));
  expect([response.status, response.headers["location"], asked.length]).toEqual([302, "/elsewhere", 1]);
  await text(response);
});

test("a body goes through as it comes", async () => {
  const body = Readable.from([Buffer.from("one "), Buffer.from("two")]);
  const response = await passOn(requestOf({ headers: { "content-length": "7" }, body }, "PUT"), to());
  await text(response);
  expect(bodies).toEqual(["one two"]);
});

test("a body that is longer than it says never reaches the backend as another request", async () => {
  const body = Readable.from([
    Buffer.from("GET /x HTTP/1.1\r\nhost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"),
  ]);
  const response = await passOn(requestOf({ headers: { "content-length": "3" }, body }, "POST"), to()).catch(
    (error: unknown) => error,
  );
  expect(response).toBeInstanceOf(Error);
  expect(asked.some(({ url }) => url === "/smuggled")).toBe(false);
});

test("an upgrade joins the connections", async () => {
  const response = await passOn(
    requestOf({ headers: { upgrade: "echo", connection: "Upgrade" }, upgrade: true }),
    to(),
  );
  if (response.type !== "upgrade") throw new Error(response.type);
  expect(response.headers).toMatchObject({ connection: "Upgrade", upgrade: "echo" });
  let ended: Promise<void> | undefined;
  const tcp = createTcp((socket) => {
    ended = response.take(socket, Buffer.from("early "));
  }).listen(0, "127.0.0.1");
  await once(tcp, "listening");
  const client = connect((tcp.address() as AddressInfo).port, "127.0.0.1");
  let got = "";
  client.on("data", (chunk: Buffer) => (got += chunk.toString()));
  client.write("late");
  await expect.poll(() => got).toBe("first early late");
  client.destroy();
  await ended;
  tcp.close();
});

test("who can not be reached is unavailable", async () => {
  server.close();
  await expect(passOn(requestOf({}), to())).rejects.toMatchObject({
    code: 503,
    status: { message: expect.stringContaining("error trying to reach pod web: connect ECONNREFUSED") as string },
  });
});

test("a path that is none is refused", async () => {
  await expect(passOn(requestOf({}), to("/a b\r\nx: y"))).rejects.toMatchObject({ code: 400 });
});
