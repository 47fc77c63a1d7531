import { get } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { createEchoHttp, type EchoHttp } from "./http.ts";
import { readSettings } from "./settings.ts";

const started: EchoHttp[] = [];
afterEach(async () => {
  for (const echo of started.splice(0)) {
    echo.server.closeAllConnections();
    await echo.finish();
  }
});

async function start(lines: string[] = []): Promise<{ echo: EchoHttp; url: string }> {
  const settings = readSettings({ HOSTNAME: "web-1", FAIRLEAD_NAMESPACE: "shop", FAIRLEAD_NODE: "n1" });
  const echo = createEchoHttp(settings, (line) => lines.push(line));
  started.push(echo);
  await new Promise<void>((resolve) => echo.server.listen(0, "127.0.0.1", resolve));
  return { echo, url: `http://127.0.0.1:${(echo.server.address() as AddressInfo).port}` };
}

test("it answers with what it was asked, and writes a line", async () => {
  const lines: string[] = [];
  const { url } = await start(lines);
  const response = await fetch(`${url}/a/b?c=1`, { method: "POST", body: "hello", headers: { "x-one": "1" } });
  expect(await response.json()).toMatchObject({
    pod: "web-1",
    namespace: "shop",
    node: "n1",
    address: "127.0.0.1",
    method: "POST",
    path: "/a/b?c=1",
    httpVersion: "1.1",
    headers: { "x-one": "1" },
    bodyLength: 5,
  });
  expect(lines).toEqual(["POST /a/b?c=1 200"]);
});

test.each([
  ["/?status=404", 404],
  ["/?status=99", 200],
  ["/?status=abc", 200],
  ["/?status=9999", 599],
  ["/healthz", 200],
  ["/healthz?status=500", 500],
])("%s answers %i", async (path, status) => {
  const { url } = await start();
  expect((await fetch(url + path)).status).toBe(status);
});

test("?bytes=N answers so many bytes", async () => {
  const { url } = await start();
  const body = await (await fetch(`${url}/?bytes=200000`)).arrayBuffer();
  expect(body.byteLength).toBe(200_000);
});

test("/stream sends events one after another", async () => {
  const { url } = await start();
  const response = await fetch(`${url}/stream?count=3&interval=1`);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  expect(await response.text()).toBe("id: 0\ndata: 1/3\n\nid: 1\ndata: 2/3\n\nid: 2\ndata: 3/3\n\n");
});

test("an upgrade becomes a WebSocket that echoes", async () => {
  const { url } = await start();
  const socket = new WebSocket(url.replace("http", "ws"));
  const answer = await new Promise<string>((resolve, reject) => {
    socket.on("open", () => socket.send("hello"));
    socket.on("message", (data: Buffer) => resolve(data.toString()));
    socket.on("error", reject);
  });
  socket.terminate();
  expect(answer).toBe("hello");
});

test("while draining it still answers, asks to close, and is not ready", async () => {
  const { echo, url } = await start();
  echo.drain();
  const response = await fetch(`${url}/`);
  expect([response.status, response.headers.get("connection")]).toEqual([200, "close"]);
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});

test("a request in flight is answered before it finishes; a new one finds nobody", async () => {
  const { echo, url } = await start();
  const answer = new Promise<number>((resolve, reject) => {
    get(`${url}/?delay=200`, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on("error", reject);
  });
  await new Promise((resolve) => echo.server.once("request", resolve));
  const finished = echo.finish();
  await expect(fetch(url)).rejects.toThrow();
  expect(await answer).toBe(200);
  await finished;
  started.length = 0;
});
