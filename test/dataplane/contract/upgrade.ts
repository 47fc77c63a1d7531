import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { send, sendBytes } from "../clients.ts";
import { eventually, type TestCluster } from "../cluster.ts";
import { type Fixture, rule } from "../suite.ts";

export function upgradeContract(made: Fixture): void {
  async function withWebSockets(): Promise<{ cluster: TestCluster; server: WebSocketServer }> {
    const backend = await made.backend("ws");
    const server = new WebSocketServer({
      server: backend.server,
      verifyClient: ({ req }: { req: IncomingMessage }, done: (ok: boolean, code?: number) => void) =>
        req.url === "/denied" ? done(false, 401) : done(true),
    });
    server.on("connection", (socket, request) => {
      socket.send(JSON.stringify({ url: request.url, headers: request.headers }));
      socket.on("message", (data, binary) => socket.send(data, { binary }));
    });
    const cluster = await made.cluster();
    cluster.service("web", [backend]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    return { cluster, server };
  }

  const open = (cluster: TestCluster, path: string) =>
    new WebSocket(`ws://127.0.0.1:${cluster.port("http")}${path}`, { headers: { host: "shop.test" } });

  test("a WebSocket works through it, both ways and until either side closes", async () => {
    const { cluster, server } = await withWebSockets();
    const socket = open(cluster, "/chat?room=1");
    const hello = JSON.parse(String((await once(socket, "message"))[0])) as {
      url: string;
      headers: Record<string, string>;
    };
    expect(hello.url).toBe("/chat?room=1");
    expect(hello.headers).toMatchObject({ host: "shop.test", "x-forwarded-for": "127.0.0.1", upgrade: "websocket" });
    const large = "x".repeat(1 << 20);
    for (const text of ["one", "two", large]) {
      socket.send(text);
      expect(String((await once(socket, "message"))[0])).toBe(text);
    }
    socket.close(1000, "done");
    await once(socket, "close");
    await eventually("the backend's side is closed", () => server.clients.size === 0);

    const other = open(cluster, "/");
    await once(other, "message");
    for (const client of server.clients) client.close(4001, "bye");
    expect((await once(other, "close"))[0]).toBe(4001);
  });

  test("it outlives a change of endpoints and routes", async () => {
    const { cluster } = await withWebSockets();
    const socket = open(cluster, "/");
    await once(socket, "message");
    const other = await made.backend("other");
    cluster.endpoints("web", [other]);
    cluster.addIngress("more", { rules: [rule("web", { host: "more.test" })] });
    await eventually("requests go elsewhere", async () => (await send(cluster, "/")).body.includes("other"));
    socket.send("still here");
    expect(String((await once(socket, "message"))[0])).toBe("still here");
    socket.terminate();
  });

  test("a refusal reaches the client as it is", async () => {
    const { cluster } = await withWebSockets();
    const socket = open(cluster, "/denied");
    const [, response] = (await once(socket, "unexpected-response")) as [unknown, { statusCode: number }];
    expect(response.statusCode).toBe(401);
    socket.on("error", () => {});
    socket.terminate();
  });

  test("404 and 503 for upgrades that lead nowhere", async () => {
    const { cluster } = await withWebSockets();
    const ask = (host: string) =>
      sendBytes(
        cluster.port("http"),
        `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
      );
    expect(await ask("other.test")).toMatch(/^HTTP\/1\.1 404 /);
    cluster.endpoints("web", []);
    await eventually("there is no endpoint", async () => (await send(cluster, "/")).status === 503);
    expect(await ask("shop.test")).toMatch(/^HTTP\/1\.1 503 /);
  });

  test("through TLS too", async () => {
    const { cluster } = await withWebSockets();
    const socket = new WebSocket(`wss://127.0.0.1:${cluster.port("https")}/`, {
      headers: { host: "shop.test" },
      rejectUnauthorized: false,
    });
    const hello = JSON.parse(String((await once(socket, "message"))[0])) as { headers: Record<string, string> };
    expect(hello.headers["x-forwarded-proto"]).toBe("https");
    socket.terminate();
  });

  test("a request with a body cannot ask for another protocol", async () => {
    const { cluster } = await withWebSockets();
    const answer = await sendBytes(
      cluster.port("http"),
      "POST / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\nbody",
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("bytes that come with the request and the answer are not lost", async () => {
    const backend = createServer((socket) => {
      socket.on("error", () => {});
      let text = "";
      let upgraded = false;
      socket.on("data", (chunk) => {
        text += chunk.toString();
        if (!upgraded && text.includes("\r\n\r\n")) {
          upgraded = true;
          text = text.slice(text.indexOf("\r\n\r\n") + 4);
          socket.write("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: test/1\r\n\r\nfirst ");
        }
        if (upgraded && text) {
          socket.write(text.toUpperCase());
          text = "";
        }
      });
    });
    await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
    const cluster = await made.cluster();
    cluster.service("web", [{ port: (backend.address() as AddressInfo).port }]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    const socket = connect(cluster.port("http"), "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: test/1\r\n\r\nearly ");
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString()));
    await eventually("the early bytes come back", () => text.endsWith("first EARLY "));
    expect(text).toMatch(/^HTTP\/1\.1 101 /);
    socket.write("late");
    await eventually("the late bytes come back", () => text.endsWith("first EARLY LATE"));
    socket.destroy();
    backend.close();
  });

  test("an offer of cleartext HTTP/2 is ignored, body and all", async () => {
    const cluster = await made.shop("a");
    const answer = await sendBytes(
      cluster.port("http"),
      "POST /x HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 4\r\n\r\nbody" +
        "GET /next HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n",
    );
    expect(answer.match(/HTTP\/1\.1 200 /g)).toHaveLength(2);
    expect(answer).toContain('"body":"body"');
    expect(answer).toContain('"url":"/next"');
    expect(answer.toLowerCase()).not.toContain("http2-settings");
  });
}
