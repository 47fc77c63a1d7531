import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { describe, expect, test } from "vitest";
import { type Limits, startEmbedded } from "../../src/dataplane/index.ts";
import type { Listener } from "../../src/routing/index.ts";
import { createMetrics, type Logger, silentLogger } from "../../src/system/index.ts";
import { begin, read, send, sendBytes } from "./clients.ts";
import { eventually, type TestCluster } from "./cluster.ts";
import { fixture, rule } from "./suite.ts";

const made = fixture();

async function shopWith(limits: Partial<Limits>, ...backend: Parameters<typeof made.backend>): Promise<TestCluster> {
  const cluster = await made.cluster({ limits });
  cluster.service("web", [await made.backend(...backend)]);
  cluster.addIngress("web", { rules: [rule("web")] });
  await cluster.served();
  return cluster;
}

describe("a client that is too slow", () => {
  test("with its header section gets 408, over HTTP and over TLS before the handshake", async () => {
    const cluster = await shopWith({ clientHeaders: 300 }, "a");
    expect(await sendBytes(cluster.port("http"), "GET / HTTP/1.1\r\nHost: shop", 5_000)).toMatch(/^HTTP\/1\.1 408 /);
    const socket = connect(cluster.port("https"), "127.0.0.1").resume();
    socket.on("error", () => {});
    await once(socket, "close");
  });

  test("with its body loses its connection, and the backend its request", async () => {
    let open = 0;
    const cluster = await shopWith({ clientIdle: 300 }, "a", (request, response) => {
      open++;
      request.on("error", () => {});
      response.on("close", () => open--);
      request.resume();
    });
    const socket = connect(cluster.port("http"), "127.0.0.1");
    socket.on("error", () => {});
    socket.write("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100\r\n\r\nbegin");
    await eventually("the request is there", () => open === 1);
    await once(socket.resume(), "close");
    await eventually("the request has ended", () => open === 0);
  });

  test("to take its answer loses its connection", async () => {
    let closed = false;
    const cluster = await shopWith({ clientIdle: 300 }, "a", (_request, response) => {
      response.on("close", () => (closed = true));
      response.on("error", () => {});
      response.write(Buffer.alloc(32 << 20));
    });
    const socket = connect(cluster.port("http"), "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    socket.write("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    await eventually("the connection is closed", () => closed);
    socket.destroy();
  });

  test("to end a body that has been answered already loses its connection", async () => {
    const cluster = await shopWith({ linger: 300 }, "a", (_request, response) => response.end("enough"));
    const socket = connect(cluster.port("http"), "127.0.0.1");
    socket.on("error", () => {});
    socket.write("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100000\r\n\r\nbegin");
    const trickle = setInterval(() => socket.write("x"), 20);
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString()));
    // What comes after the end may be answered by a reset, which is as good an end.
    await new Promise((resolve) => socket.once("close", resolve));
    clearInterval(trickle);
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("but a backend that thinks for longer than that is waited for", async () => {
    const cluster = await shopWith({ clientIdle: 100 }, "a", (request, response) => {
      request.resume();
      setTimeout(() => response.end("late"), 400);
    });
    expect((await send(cluster, "/", { method: "POST", body: "text" })).body).toBe("late");
  });
});

describe("a message that is too large", () => {
  test("431 for the header section", async () => {
    const cluster = await shopWith({ headerBytes: 8 << 10 }, "a");
    expect((await send(cluster, "/", { headers: { "x-large": "x".repeat(7 << 10) } })).status).toBe(200);
    expect((await send(cluster, "/", { headers: { "x-large": "x".repeat(9 << 10) } })).status).toBe(431);
  });

  test("no header field is left out however many there are", async () => {
    const cluster = await made.cluster({ limits: { headerBytes: 64 << 10 } });
    const backend = await made.backend("a", (request, response) => {
      response.end(String(Object.keys(request.headers).filter((name) => name.startsWith("x-n")).length));
    });
    backend.server.maxHeadersCount = 0;
    cluster.service("web", [backend]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    const many = Object.fromEntries(Array.from({ length: 1500 }, (_, index) => [`x-n${index}`, "1"]));
    expect((await send(cluster, "/", { headers: many })).body).toBe("1500");
  });

  test("413 for the body, announced or not", async () => {
    const cluster = await shopWith({ bodyBytes: 1000 }, "a");
    expect((await send(cluster, "/", { method: "POST", body: "x".repeat(1000) })).status).toBe(200);
    expect((await send(cluster, "/", { method: "POST", body: "x".repeat(1001) })).status).toBe(413);
    const { request, answer } = begin(cluster, "/", { method: "POST", headers: { "transfer-encoding": "chunked" } });
    request.on("error", () => {});
    request.end("x".repeat(1001));
    expect((await read(await answer)).status).toBe(413);
  });

  test("502 for an answer whose header section is too large", async () => {
    const cluster = await shopWith({ headerBytes: 8 << 10 }, "a", (_request, response) => {
      response.writeHead(200, { "x-large": "x".repeat(16 << 10) });
      response.end();
    });
    expect((await send(cluster, "/")).status).toBe(502);
  });
});

describe("a backend that is too slow", () => {
  test("504 when it does not begin its answer", async () => {
    const cluster = await shopWith({ responseStart: 1_000 }, "a", (request) => request.resume());
    expect((await send(cluster, "/")).status).toBe(504);
  });

  test("503 for more requests than an endpoint may have at once", async () => {
    const waiting: (() => void)[] = [];
    const cluster = await shopWith(
      { requestsPerEndpoint: 3 },
      "a",
      (_request, response) => void waiting.push(() => response.end()),
    );
    const held = Array.from({ length: 3 }, () => send(cluster, "/"));
    await eventually("three are there", () => waiting.length === 3);
    const reply = await send(cluster, "/");
    expect([reply.status, reply.headers["retry-after"]]).toEqual([503, "1"]);
    for (const finish of waiting) finish();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });
});

/** Occupies a port that leaves room for the fallback 8000 above it. */
async function takePort(): Promise<[server: Server, port: number]> {
  for (;;) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    if (port + 8000 < 65_536) return [server, port];
    server.close();
  }
}

describe("listeners", () => {
  const listener = (name: string, port: number): Listener => ({
    name,
    port,
    protocol: "HTTP",
    servers: new Map([
      [
        "",
        {
          kind: "http",
          hostname: "",
          hosts: { semantics: "Ingress", exact: new Map(), wildcard: new Map() },
          owner: { object: { kind: "Ingress", name: "i" }, field: "" },
        },
      ],
    ]),
  });

  test("a port in use falls back to port + 8000 and is reported; without either it is an error, and the rest works", async () => {
    const [taken, low] = await takePort();
    const stop = new AbortController();
    const warnings: string[] = [];
    const log: Logger = { ...silentLogger, warn: (_fields, message) => void warnings.push(message) };
    const dataplane = startEmbedded({ address: "127.0.0.1", metrics: createMetrics(), signal: stop.signal, log });
    const keyPair = () => undefined;
    await dataplane.apply({
      model: { listeners: [listener("one", low), listener("two", 0)], pools: new Map() },
      keyPair,
    });
    expect(dataplane.listeners()).toMatchObject([
      { name: "one", wanted: low, port: low + 8000, error: expect.stringContaining("is in use") },
      { name: "two" },
    ]);
    expect(warnings).toHaveLength(1);
    expect(dataplane.listeners()[1]?.port).toBeGreaterThan(0);

    // A listener that leaves the model stops listening.
    await dataplane.apply({ model: { listeners: [listener("two", 0)], pools: new Map() }, keyPair });
    await eventually("nobody listens", async () => (await sendBytes(low + 8000, "GET / HTTP/1.1\r\n\r\n")) === "");
    stop.abort();
    await dataplane.stopped;
    taken.close();
  });

  test("when it stops, requests in flight are answered first", async () => {
    const waiting: (() => void)[] = [];
    const cluster = await shopWith({}, "a", (_request, response) => void waiting.push(() => response.end("finished")));
    const replies = Promise.all([send(cluster, "/"), send(cluster, "/", { tls: {} })]);
    await eventually("both are there", () => waiting.length === 2);
    const stopped = cluster.stop();
    await eventually("it takes no more", async () =>
      send(cluster, "/").then(
        () => false,
        () => true,
      ),
    );
    for (const finish of waiting) finish();
    expect((await replies).map(({ body }) => body)).toEqual(["finished", "finished"]);
    await stopped;
  });

  test("when it stops, connections that have no request close at once", async () => {
    const cluster = await shopWith({}, "a");
    const idle = connect(cluster.port("http"), "127.0.0.1").resume();
    idle.on("error", () => {});
    await once(idle, "connect");
    await Promise.all([once(idle, "close"), cluster.stop()]);
  });
});

describe("counters", () => {
  test("requests by code, and how many are under way", async () => {
    const cluster = await shopWith({}, "a");
    await send(cluster, "/");
    await send(cluster, "/", { host: "other.test" });
    await send(cluster, "/", { host: "other.test" });
    const text = await cluster.metrics.text();
    expect(text).toContain('fairlead_ingress_requests_total{code="200"} 1');
    expect(text).toContain('fairlead_ingress_requests_total{code="404"} 2');
    expect(text).toContain("fairlead_ingress_requests_in_flight 0");
  });
});

describe("clients and backends that break off anywhere", () => {
  test("leave nothing behind", async () => {
    let number = 0;
    // Ends each answer at another point: before it, in its head, in its body, at its end.
    const cluster = await shopWith({ requestsPerEndpoint: 20 }, "a", (request, response) => {
      const way = number++ % 5;
      request.on("error", () => {});
      response.on("error", () => {});
      request.resume();
      if (way === 0) request.socket.destroy();
      else if (way === 1) request.socket.end("HTTP/1.1 200 OK\r\nContent-Le");
      else if (way === 2) response.write("x".repeat(100_000), () => response.destroy());
      else if (way === 3) setTimeout(() => response.end("x".repeat(300_000)), 5);
      else response.end("ok");
    });
    const one = (index: number): Promise<void> =>
      new Promise((resolve) => {
        const method = index % 3 ? "GET" : "POST";
        const headers = method === "POST" ? { "content-length": "50000" } : {};
        const { request, answer } = begin(cluster, "/", { method, headers, ...(index % 2 ? { tls: {} } : {}) });
        request.on("error", () => {});
        request.on("close", () => resolve());
        if (method === "POST") request.write("x".repeat(20_000));
        else request.end();
        answer.then(
          (response) => {
            response.on("error", () => {});
            response.resume();
          },
          () => {},
        );
        setTimeout(() => request.destroy(), (index * 7) % 40);
      });
    for (let round = 0; round < 20; round++)
      await Promise.all(Array.from({ length: 10 }, (_, index) => one(round * 10 + index)));
    // Had one of 200 requests not been counted down, an endpoint with room for 20 would be full now and then.
    await eventually("none is under way", async () =>
      (await cluster.metrics.text()).includes("fairlead_ingress_requests_in_flight 0"),
    );
    const codes = new Set<number>();
    for (let i = 0; i < 20; i++) codes.add((await send(cluster, "/").catch(() => ({ status: 0 }))).status);
    expect([...codes].filter((code) => code === 503)).toEqual([]);
    expect(codes).toContain(200);
  });
});

describe("HTTP/2", () => {
  test("streams that are opened and reset at once cost the backend nothing for long", async () => {
    let open = 0;
    const cluster = await shopWith({}, "a", (_request, response) => {
      open++;
      response.on("close", () => open--);
      setTimeout(() => response.end("ok"), 50);
    });
    const session = connectHttp2(`https://127.0.0.1:${cluster.port("https")}`, {
      rejectUnauthorized: false,
      servername: "shop.test",
    });
    session.on("error", () => {});
    for (let i = 0; i < 500 && !session.destroyed; i++) {
      const stream = session.request({ ":path": "/", ":authority": "shop.test" });
      stream.on("error", () => {});
      stream.close(8);
    }
    await eventually("all have ended", () => open === 0);
    session.destroy();
    expect((await send(cluster, "/")).status).toBe(200);
  });
});
