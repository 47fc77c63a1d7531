import { createServer, type RequestListener } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { Pod } from "../../kube/index.ts";
import { RuntimeError, type Runtime } from "../runtime/runtime.ts";
import { createHandlerRunner, type Handler, type HandlerResult } from "./handler.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const http = (listener: RequestListener): Promise<number> => listen(createServer(listener));

const pod = (port: number): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "a", uid: "u" },
  spec: { containers: [{ name: "web", ports: [{ name: "http", containerPort: port }] }] },
});

function run(
  handler: Handler,
  port: number,
  exec: Runtime["exec"] = noExec,
  timeoutMs = 2_000,
): Promise<HandlerResult> {
  const target = { pod: pod(port), containerName: "web", containerId: "c", address: "127.0.0.1" };
  return createHandlerRunner({ exec })(handler, target, timeoutMs);
}
const noExec: Runtime["exec"] = () => Promise.reject(new Error("not to be called"));

test.each([
  [200, true],
  [204, true],
  [302, true],
  [399, true],
  [400, false],
  [500, false],
])("httpGet: status %i is %s", async (status, ok) => {
  const port = await http((_, response) => response.writeHead(status).end());
  const result = await run({ httpGet: { path: "/", port: "http" } }, port);
  expect(result.ok).toBe(ok);
  if (!ok) expect(result.message).toBe(`HTTP probe failed with statuscode: ${status}`);
});

test("httpGet sends path, query, headers and Host, and says who it is", async () => {
  let seen: unknown;
  const port = await http((request, response) => {
    seen = {
      url: request.url,
      host: request.headers.host,
      agent: request.headers["user-agent"],
      x: request.headers["x-a"],
    };
    response.end();
  });
  const httpHeaders = [
    { name: "Host", value: "shop.example" },
    { name: "X-A", value: "1" },
  ];
  await run({ httpGet: { path: "healthz?full=1", port, httpHeaders } }, port);
  expect(seen).toEqual({ url: "/healthz?full=1", host: "shop.example", agent: "kube-probe/1.35", x: "1" });
});

test("httpGet follows a redirect on the same host, and trusts one to another", async () => {
  const port = await http((request, response) => {
    if (request.url === "/there") response.writeHead(503).end();
    else if (request.url === "/away") response.writeHead(302, { location: "http://elsewhere.invalid/" }).end();
    else response.writeHead(302, { location: "/there" }).end();
  });
  expect(await run({ httpGet: { path: "/", port } }, port)).toMatchObject({ ok: false });
  expect(await run({ httpGet: { path: "/away", port } }, port)).toMatchObject({ ok: true });
});

test("httpGet fails when there is no answer in time, or nobody", async () => {
  const port = await http(() => {});
  const late = await run({ httpGet: { port } }, port, noExec, 50);
  expect(late).toMatchObject({ ok: false, message: expect.stringContaining("context deadline exceeded") as string });
  servers[0]?.close();
  (servers[0] as unknown as { closeAllConnections(): void }).closeAllConnections();
  expect(await run({ httpGet: { port } }, port)).toMatchObject({
    ok: false,
    message: expect.stringContaining("ECONNREFUSED") as string,
  });
  servers.length = 0;
});

test("httpGet to a port name that the container has not fails", async () => {
  expect(await run({ httpGet: { port: "metrics" } }, 1)).toEqual({
    ok: false,
    message: `couldn't find port: "metrics"`,
  });
});

test("tcpSocket succeeds where someone listens", async () => {
  const port = await listen(createTcpServer((socket) => socket.destroy()));
  expect(await run({ tcpSocket: { port } }, port)).toEqual({ ok: true, message: "" });
});

test("exec succeeds with code 0, else its output is the message", async () => {
  const exec = { exec: { command: ["check"] } };
  expect(await run(exec, 1, async () => ({ exitCode: 0, stdout: "fine\n", stderr: "" }))).toEqual({
    ok: true,
    message: "fine",
  });
  expect(await run(exec, 1, async () => ({ exitCode: 1, stdout: "", stderr: "bad\n" }))).toEqual({
    ok: false,
    message: "bad",
  });
  const late = () => Promise.reject(new RuntimeError("TIMEOUT", "late"));
  expect(await run(exec, 1, late)).toMatchObject({
    ok: false,
    message: expect.stringContaining("timed out after 2s") as string,
  });
});
