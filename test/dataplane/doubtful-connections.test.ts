// Endpoints that close connections which have been idle, as they may at any moment: also just when a request is on its way. What may be
// repeated is; what may not be must never have gone by such a connection.
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { send } from "./clients.ts";
import type { TestCluster } from "./cluster.ts";
import { fixture, rule } from "./suite.ts";

/** Milliseconds that connections are left idle: more than the data plane trusts one, less than it keeps one. */
const pause = 200;

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
  /** From now on a connection that has answered before is of no use. */
  readonly forget: () => void;
}> {
  let answered = 0;
  let lost = 0;
  let round = 0;
  const server = createServer({ noDelay: true }, (socket: Socket) => {
    let text = "";
    let answeredIn: number | undefined;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      if (answeredIn !== undefined && answeredIn < round) {
        lost++;
        socket.destroy();
        return;
      }
      answeredIn = undefined;
      text += bytes.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const chunked = /\r\ntransfer-encoding: chunked\r\n/i.test(text);
      const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1] ?? 0);
      if (chunked ? !text.endsWith("\r\n0\r\n\r\n") : text.length < end + 4 + length) return;
      text = "";
      answered++;
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      answeredIn = round;
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
  const { port } = server.address() as AddressInfo;
  return { port, answered: () => answered, lost: () => lost, forget: () => void round++ };
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

  /** The machine may take longer: then they have been idle for longer. */
  async function forgotten(endpoint: { readonly forget: () => void }): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, pause));
    endpoint.forget();
  }

  test.each([
    ["POST", "a small body", small, {}],
    ["POST", "a large body", large, {}],
    ["POST", "chunks", small, { "transfer-encoding": "chunked" }],
    ["PATCH", "a small body", small, {}],
    ["PUT", "a large body", large, {}],
  ])("%s with %s is not sent by them", async (method, _what, body, headers) => {
    const { cluster, endpoint } = await open();
    for (let i = 0; i < 4; i++) {
      // Several, so that connections are left behind.
      const length = "transfer-encoding" in headers ? {} : { "content-length": String(body.length) };
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => send(cluster, "/", { method, body, headers: { ...headers, ...length } })),
      );
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
      await forgotten(endpoint);
    }
    expect([endpoint.answered(), endpoint.lost()]).toEqual([20, 0]);
  });

  test.each([
    ["GET", ""],
    ["PUT", small],
  ])("%s is sent again when it was lost", async (method, body) => {
    const { cluster, endpoint } = await open();
    for (let i = 0; i < 4; i++) {
      const headers = body === "" ? {} : { "content-length": String(body.length) };
      expect((await send(cluster, "/", { method, body, headers })).status).toBe(200);
      await forgotten(endpoint);
    }
    expect(endpoint.answered()).toBe(4);
    expect(endpoint.lost()).toBeGreaterThan(0);
  });
});
