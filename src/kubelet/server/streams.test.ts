import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { Pod } from "../../kube/index.ts";
import { FakeClock } from "../../system/index.ts";
import { createFakeRuntime, type FakeRuntime } from "../runtime/fake.ts";
import { Refusal } from "../streaming/refusal.ts";
import { createTestSpdyClient } from "../streaming/spdy/test-client.ts";
import { RequestError } from "./log-query.ts";
import { createStreamedRequests } from "./streamed-requests.ts";

let server: Server;
let runtime: FakeRuntime;
let base: string;
const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "default", uid: "u1" },
  spec: { containers: [{ name: "app", image: "i" }] },
} as Pod;

beforeEach(async () => {
  runtime = createFakeRuntime(new FakeClock());
  const sandbox = await runtime.createSandbox({
    podUid: "u1",
    namespace: "default",
    name: "web",
    attempt: 0,
    hostname: "web",
    hostNetwork: false,
    hostPorts: [],
    dns: { servers: [], searches: [], options: [] },
    names: ["p"],
    hostAliases: [],
  });
  const id = await runtime.createContainer({
    sandboxId: sandbox.id,
    podUid: "u1",
    name: "app",
    attempt: 0,
    image: "i",
    command: undefined,
    args: undefined,
    env: {},
    workingDir: undefined,
    mounts: [],
    volumesDirectory: "/none",
    user: undefined,
    group: undefined,
    supplementalGroups: [],
    logPath: "/none",
    stopSignal: "SIGTERM",
  });
  await runtime.startContainer(id);
  const pods = { all: () => [pod], get: () => pod, wrote: () => {} };
  const streamed = createStreamedRequests({ pods, runtime });
  server = createServer();
  server.on("upgrade", (incoming, socket, head) => {
    socket.on("error", () => {});
    streamed.serve(new URL(incoming.url ?? "/", "http://kubelet"), incoming, socket, head).catch((error: unknown) => {
      const status = error instanceof RequestError || error instanceof Refusal ? error.status : 500;
      socket.end(`HTTP/1.1 ${status} No\r\nconnection: close\r\n\r\n${(error as Error).message}`);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function webSocket(path: string, protocols: string | string[] = "v5.channel.k8s.io") {
  const ws = new WebSocket(`ws://${base}${path}`, protocols);
  const messages: Buffer[] = [];
  ws.on("message", (data: Buffer) => messages.push(data));
  await once(ws, "open");
  const all = (channel: number): string =>
    Buffer.concat(messages.filter(([first]) => first === channel).map((message) => message.subarray(1))).toString();
  return { ws, all, messages, closed: once(ws, "close") };
}

async function spdy(path: string, protocol: string) {
  const asked = request(`http://${base}${path}`, {
    method: "POST",
    headers: { connection: "Upgrade", upgrade: "SPDY/3.1", "x-stream-protocol-version": protocol },
  });
  asked.end();
  const [answer, socket] = (await once(asked, "upgrade")) as [{ headers: Record<string, string> }, Duplex];
  return { answer, socket, client: createTestSpdyClient(socket) };
}

test("port-forward takes SPDY inside a WebSocket, whose name has a slash", async () => {
  const asked = request(`http://${base}/portForward/default/web`, {
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": Buffer.alloc(16).toString("base64"),
      "sec-websocket-protocol": "SPDY/3.1+portforward.k8s.io",
    },
  });
  asked.end();
  const [answer, socket] = (await once(asked, "upgrade")) as [{ headers: Record<string, string> }, Duplex];
  expect(answer.headers["sec-websocket-protocol"]).toBe("SPDY/3.1+portforward.k8s.io");
  socket.destroy();
});

test("exec over WebSocket v5: input ends by a message, output on its channels, the status last", async () => {
  const { ws, all, closed } = await webSocket("/exec/default/web/app?command=cat&input=1&output=1&error=1");
  ws.send(Buffer.from("\0one "));
  ws.send(Buffer.from("\0two"));
  ws.send(Buffer.from([255, 0]));
  await closed;
  expect(all(1)).toBe("one two");
  expect(JSON.parse(all(3))).toEqual({ metadata: {}, status: "Success" });
});

test("a command's exit code is a cause of its status", async () => {
  runtime.execResult = () => ({ exitCode: 7, stdout: "out", stderr: "err" });
  const { all, closed } = await webSocket("/exec/default/web/app?command=x&output=1&error=1", "v4.channel.k8s.io");
  await closed;
  expect([all(1), all(2)]).toEqual(["out", "err"]);
  expect(JSON.parse(all(3))).toEqual({
    metadata: {},
    status: "Failure",
    message: "command terminated with non-zero exit code: exit status 7",
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: "7" }] },
  });
});

test("base64: channels are digits and data is text", async () => {
  runtime.execResult = () => ({ exitCode: 0, stdout: "out", stderr: "" });
  const { messages, closed } = await webSocket("/exec/default/web/app?command=x&output=1", "v4.base64.channel.k8s.io");
  await closed;
  expect(messages.map(String)).toContain(`1${Buffer.from("out").toString("base64")}`);
});

test("a terminal has no error output, and its size goes to the command", async () => {
  const { ws, all, closed } = await webSocket("/exec/default/web/app?command=cat&input=1&output=1&error=1&tty=1");
  ws.send(Buffer.concat([Buffer.from([4]), Buffer.from('{"Width":100,"Height":30}')]));
  ws.send(Buffer.from([255, 0]));
  await closed;
  expect(all(1)).toBe("[100x30]");
});

test.each(["v4.channel.k8s.io", "v3.channel.k8s.io", "channel.k8s.io"])("exec over SPDY, %s", async (protocol) => {
  runtime.execResult = () => ({ exitCode: 3, stdout: "got ", stderr: "" });
  const { answer, client, socket } = await spdy("/exec/default/web/app?command=cat&input=1&output=1", protocol);
  expect(answer.headers["x-stream-protocol-version"]).toBe(protocol);
  const error = await client.open({ streamtype: "error" }, true);
  const stdin = await client.open({ streamtype: "stdin" });
  const stdout = await client.open({ streamtype: "stdout" }, true);
  client.send(stdin, "input", true);
  await client.until(() => client.received(stdout).ended && client.received(error).ended);
  expect(client.received(stdout).text).toBe("got input");
  const { text } = client.received(error);
  if (protocol.startsWith("v4.")) expect(JSON.parse(text)).toMatchObject({ reason: "NonZeroExitCode" });
  else expect(text).toBe("command terminated with non-zero exit code: exit status 3");
  socket.destroy();
});

test("port-forward over SPDY: pairs of streams by request id; what can not be reached is told on the error stream", async () => {
  const { client, socket } = await spdy("/portForward/default/web", "portforward.k8s.io");
  const error = await client.open({ streamtype: "error", port: "80", requestid: "0" });
  const data = await client.open({ streamtype: "data", port: "80", requestid: "0" });
  client.send(data, "ping", true);
  await client.until(() => client.received(data).ended && client.received(error).ended);
  expect([client.received(data).text, client.received(error).text]).toEqual(["ping", ""]);
  const refused = await client.open({ streamtype: "error", port: "1", requestid: "1" });
  await client.open({ streamtype: "data", port: "1", requestid: "1" });
  await client.until(() => client.received(refused).ended);
  expect(client.received(refused).text).toBe("error forwarding port 1 to pod web, uid u1: connection refused");
  socket.destroy();
});

test("port-forward over WebSocket v4: each channel begins with its port", async () => {
  const { ws, all } = await webSocket("/portForward/default/web?port=8080,9090", "v4.channel.k8s.io");
  ws.send(Buffer.from("\x02hello"));
  await expect.poll(() => all(2)).toBe(`${Buffer.from([9090 & 255, 9090 >> 8]).toString()}hello`);
  expect(all(0)).toBe(Buffer.from([8080 & 255, 8080 >> 8]).toString());
  ws.terminate();
});

test.each([
  ["/exec/default/nope/app?command=x&output=1", 404],
  ["/exec/default/web/nope?command=x&output=1", 500],
  ["/exec/default/web/app?command=x", 400],
  ["/exec/default/web/app?output=1", 400],
  ["/portForward/default/web", 400],
  ["/portForward/default/web?port=0", 400],
  ["/portForward/default/web?port=x", 400],
])("%s is refused with %i", async (path, status) => {
  const ws = new WebSocket(`ws://${base}${path}`, "v4.channel.k8s.io");
  const [, answer] = (await once(ws, "unexpected-response")) as [unknown, { statusCode: number }];
  expect(answer.statusCode).toBe(status);
  ws.on("error", () => {});
  ws.terminate();
});

test("a protocol that is not known is refused", async () => {
  const ws = new WebSocket(`ws://${base}/exec/default/web/app?command=x&output=1`, "v9.channel.k8s.io");
  const [, answer] = (await once(ws, "unexpected-response")) as [unknown, { statusCode: number }];
  expect(answer.statusCode).toBe(403);
  ws.on("error", () => {});
  ws.terminate();
});
