import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { begin, read, send, sendBytes } from "../clients.ts";
import { eventually } from "../cluster.ts";
import type { Fixture } from "../suite.ts";
import type { Cannots } from "./index.ts";

/** More than all buffers between a client and a backend on one machine hold. */
const muchMoreThanBuffers = 64 << 20;

export function streamingContract(made: Fixture, cannot: Cannots): void {
  test("hands over an answer while it is being made", async () => {
    let finish = (): void => {};
    const cluster = await made.shop("a", (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
      finish = () => response.write("data: 1\n\n", () => setTimeout(() => response.end("data: 2\n\n"), 50));
    });
    const { request, answer } = begin(cluster, "/events");
    request.end();
    // The header section comes although there is no body yet.
    const response = await answer;
    const first = once(response, "data");
    finish();
    expect(String((await first)[0])).toBe("data: 1\n\n");
    expect((await read(response)).body).toBe("data: 2\n\n");
  });

  test("hands over a request while it is being made", async () => {
    const cluster = await made.shop("a", (request, response) => {
      response.flushHeaders();
      request.pipe(response);
    });
    const { request, answer } = begin(cluster, "/echo", { method: "POST" });
    request.write("one");
    const response = await answer;
    expect(String((await once(response, "data"))[0])).toBe("one");
    request.end("two");
    expect((await read(response)).body).toBe("two");
  });

  const both = test.skipIf(cannot.duplex);
  both("carries large bodies both ways at once unharmed, with and without a length", async () => {
    await carriesBodies((request, response) => void request.pipe(response));
  });

  test("carries large bodies one way and then the other unharmed, with and without a length", async () => {
    await carriesBodies((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        for (const chunk of chunks) response.write(chunk);
        response.end();
      });
    });
  });

  async function carriesBodies(handler: Parameters<Fixture["shop"]>[1]): Promise<void> {
    const cluster = await made.shop("a", handler);
    const body = randomBytes(8 << 20);
    const digest = createHash("sha256").update(body).digest("hex");
    for (const headers of [{ "content-length": String(body.length) }, { "transfer-encoding": "chunked" }]) {
      const { request, answer } = begin(cluster, "/echo", { method: "PUT", headers });
      request.end(body);
      const hash = createHash("sha256");
      for await (const chunk of await answer) hash.update(chunk as Buffer);
      expect(hash.digest("hex")).toBe(digest);
    }
  }

  test("a client that does not read holds its backend back", async () => {
    let sent = 0;
    const cluster = await made.shop("a", (_request, response) => {
      const chunk = Buffer.alloc(64 << 10);
      const pump = (): void => {
        while (sent < muchMoreThanBuffers) {
          sent += chunk.length;
          if (response.write(chunk)) continue;
          response.once("drain", pump);
          return;
        }
        response.end();
      };
      pump();
    });
    const { request, answer } = begin(cluster, "/much");
    request.end();
    const response = await answer;
    response.pause();
    await settled(() => sent);
    expect(sent).toBeLessThan(muchMoreThanBuffers / 2);
    let received = 0;
    for await (const chunk of response) received += (chunk as Buffer).length;
    expect(received).toBe(muchMoreThanBuffers);
  });

  test("a backend that does not read holds its client back", async () => {
    let drain = (): void => {};
    const cluster = await made.shop("a", (request, response) => {
      drain = () => request.resume();
      request.on("end", () => response.end("done"));
    });
    const { request, answer } = begin(cluster, "/much", { method: "POST" });
    let sent = 0;
    const chunk = Buffer.alloc(64 << 10);
    const pump = (): void => {
      while (sent < muchMoreThanBuffers) {
        sent += chunk.length;
        if (request.write(chunk)) continue;
        request.once("drain", pump);
        return;
      }
      request.end();
    };
    pump();
    await settled(() => sent);
    expect(sent).toBeLessThan(muchMoreThanBuffers / 2);
    drain();
    expect((await read(await answer)).body).toBe("done");
  });

  test.skipIf(cannot.trailers)("passes on trailers", async () => {
    const cluster = await made.shop("a", (_request, response) => {
      response.writeHead(200, { trailer: "x-sum" });
      response.write("body");
      response.addTrailers({ "x-sum": "42" });
      response.end();
    });
    const reply = await send(cluster, "/");
    expect(reply.body).toBe("body");
    expect(reply.trailers).toEqual({ "x-sum": "42" });
  });

  test("HEAD, 204 and 304 have no body and keep their length", async () => {
    const cluster = await made.shop("a", (request, response) => {
      const status = Number(request.url?.slice(1));
      response.writeHead(status, status === 204 ? {} : { "content-length": "5", etag: '"x"' });
      response.end(request.method === "HEAD" || status !== 200 ? undefined : "12345");
    });
    const head = await send(cluster, "/200", { method: "HEAD" });
    expect([head.status, head.headers["content-length"], head.body]).toEqual([200, "5", ""]);
    expect((await send(cluster, "/204")).status).toBe(204);
    const unchanged = await send(cluster, "/304");
    expect([unchanged.status, unchanged.headers.etag, unchanged.body]).toEqual([304, '"x"', ""]);
  });

  test("says 100 Continue only when the body is wanted", async () => {
    const cluster = await made.shop("a");
    const port = cluster.port("http");
    const head = (host: string) =>
      `POST /x HTTP/1.1\r\nHost: ${host}\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n`;
    const socket = connect(port, "127.0.0.1");
    socket.write(head("shop.test"));
    expect(String((await once(socket, "data"))[0])).toMatch(/^HTTP\/1\.1 100 Continue\r\n/);
    socket.write("body");
    expect(String((await once(socket, "data"))[0])).toMatch(/^HTTP\/1\.1 200 /);
    socket.destroy();
    expect(await sendBytes(port, head("other.test"))).toMatch(/^HTTP\/1\.1 404 /);
  });

  test("an answer that breaks off is not taken for a whole one", async () => {
    const cluster = await made.shop("a", (request, response) => {
      response.writeHead(200, request.url === "/length" ? { "content-length": "100" } : {});
      response.write("some", () => setTimeout(() => response.destroy(), 20));
    });
    for (const path of ["/length", "/chunked"]) {
      const { request, answer } = begin(cluster, path);
      request.end();
      await expect(answer.then(read)).rejects.toThrow(/aborted|hang up/);
    }
  });

  test("a client that leaves ends its request at the backend", async () => {
    let open = 0;
    const cluster = await made.shop("a", (_request, response) => {
      open++;
      response.on("close", () => open--);
    });
    const { request } = begin(cluster, "/slow");
    request.on("error", () => {});
    request.end();
    await eventually("the request is there", () => open === 1);
    request.destroy();
    await eventually("the request has ended", () => open === 0);
  });

  test("an answer that comes before the body is read reaches the client", async () => {
    const cluster = await made.shop("a", (_request, response) => {
      response.writeHead(413, { connection: "close" });
      response.end("too much");
    });
    const { request, answer } = begin(cluster, "/upload", { method: "POST", headers: { "content-length": "1000000" } });
    request.on("error", () => {});
    request.write("begin");
    expect((await answer).statusCode).toBe(413);
    request.destroy();
  });
}

/** Waits until a number has stopped growing. */
async function settled(value: () => number): Promise<void> {
  let last = -1;
  await eventually("the flow stops", async () => {
    const stopped = value() === last && last > 0;
    last = value();
    if (!stopped) await new Promise((resolve) => setTimeout(resolve, 150));
    return stopped;
  });
}
