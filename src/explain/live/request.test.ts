import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RequestTrace } from "../request/request-trace.ts";
import { sendRequest } from "./request.ts";

const server = createServer((_request, response) => response.end());
server.on("connect", (_request, socket) => socket.end("HTTP/1.1 405 Method Not Allowed\r\n\r\n"));
server.on("upgrade", (_request, socket) =>
  socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"),
);
beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
afterAll(() => void server.close());

it.each([
  ["an answer", "GET", {}, 200],
  ["an answer to CONNECT", "CONNECT", {}, 405],
  ["another protocol", "GET", { connection: "upgrade", upgrade: "echo" }, 101],
])("sees %s", async (_, method, headers, status) => {
  const { port } = server.address() as AddressInfo;
  const url = new URL(`http://shop.test:${port}/`);
  const trace: RequestTrace = {
    request: { method, host: url.host, path: "/", scheme: "http" },
    candidates: [],
    more: 0,
    filters: [],
    backends: [],
    verdict: "answer",
    status,
    reason: "",
    problems: [],
  };
  expect(await sendRequest(trace, { method, url, headers }, "127.0.0.1")).toMatchObject({ status, agrees: true });
});
