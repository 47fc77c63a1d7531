// Endpoints that close connections which have been idle, as they may at any moment: also just when a request is on its way. What may be
// repeated is; what may not be must never have gone by such a connection.
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { send } from "./clients.ts";
import type { TestCluster } from "./cluster.ts";
import { fixture, rule } from "./suite.ts";

/** Milliseconds after which an idle connection is of no use: less than any server's timeout, more than the data plane trusts. */
const patience = 400;

const servers: Server[] = [];
const sockets = new Set<Socket>();
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const server of servers.splice(0)) {
    server.close();
    await once(server, "close");
  }
});

/**
 * An endpoint that answers whole requests, and closes connections that have been idle: as if its end of the connection had been on its way when the
 * next request was sent, that request is lost with it, unread.
 */
async function forgetful(): Promise<{
  readonly port: number;
  readonly answered: () => number;
  readonly lost: () => number;
}> {
  let answered = 0;
  let lost = 0;
  const server = createServer({ noDelay: true }, (socket: Socket) => {
    let text = "";
    let idleSince: number | undefined;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      if (idleSince !== undefined && Date.now() - idleSince > patience) {
        lost++;
        socket.destroy();
        return;
      }
      idleSince = undefined;
      text += bytes.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const chunked = /\r\ntransfer-encoding: chunked\r\n/i.test(text);
      const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1] ?? 0);
      if (chunked ? !text.endsWith("\r\n0\r\n\r\n") : text.length < end + 4 + length) return;
      text = "";
      answered++;
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      idleSince = Date.now();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
  return { port: (server.address() as AddressInfo).port, answered: () => answered, lost: () => lost };
}

const small = "x".repeat(100);
const large = "x".repeat(100_000);

describe("connections that endpoints may have closed", () => {
  const made = fixture();

  async function open(): Promise<{ cluster: TestCluster; endpoint: Awaited<ReturnType<typeof forgetful>> }> {
    const endpoint = await forgetful();
    const cluster = await made.cluster();
    cluster.service("web", [endpoint]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    return { cluster, endpoint };
  }

  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, patience + 80));

  test.each([
    ["POST", "a small body", small, {}],
    ["POST", "a large body", large, {}],
    ["POST", "chunks", small, { "transfer-encoding": "chunked" }],
    ["PATCH", "a small body", small, {}],
    ["PUT", "a large body", large, {}],
  ])("%s with %s is not sent by them", async (method, _what, body, headers) => {
    const { cluster, endpoint } = await open();
    for (let i = 0; i < 3; i++) {
      // Several, so that connections are left behind.
      const length = "transfer-encoding" in headers ? {} : { "content-length": String(body.length) };
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => send(cluster, "/", { method, body, headers: { ...headers, ...length } })),
      );
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
      await pause();
    }
    expect([endpoint.answered(), endpoint.lost()]).toEqual([15, 0]);
  });

  test.each([
    ["GET", ""],
    ["PUT", small],
  ])("%s is sent again when it was lost", async (method, body) => {
    const { cluster, endpoint } = await open();
    for (let i = 0; i < 3; i++) {
      const headers = body === "" ? {} : { "content-length": String(body.length) };
      expect((await send(cluster, "/", { method, body, headers })).status).toBe(200);
      await pause();
    }
    expect(endpoint.answered()).toBe(3);
    expect(endpoint.lost()).toBeGreaterThan(0);
  });
});
