import { createSocket, type Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { request as httpsRequest } from "node:https";
import { connect as connectHttp2, createServer as createHttp2 } from "node:http2";
import {
  createServer as createHttp,
  request as httpRequest,
  type IncomingMessage,
  type Server as HttpServer,
} from "node:http";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, createServer as createTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DataPlane, missingFor } from "../../src/dataplane/index.ts";
import { selfSigned } from "../../src/dataplane/self-signed.ts";
import type {
  Certificate,
  HostRoutes,
  Listener,
  ListenerProtocol,
  Owner,
  Pool,
  RoutingModel,
  Rule,
  Server,
  StreamRoute,
  StreamTable,
} from "../../src/routing/index.ts";
import { freePort } from "../../src/system/index.ts";
import { read, type Reply } from "./clients.ts";
import { eventually } from "./cluster.ts";
import { startPlane } from "./plane.ts";

const owner: Owner = { object: { kind: "Service", namespace: "a", name: "db" }, field: "" };
const missing = await missingFor("nginx");
const planes = [
  ["embedded", undefined],
  ["nginx", missing],
] as const;

type Weights = Readonly<Record<string, number>>;

function ruleOf(id: string, weights: Weights): Rule {
  const backends = Object.entries(weights).map(([pool, weight]) => ({ pool, weight, filters: [], owner }));
  return { id, filters: [], backends, timeouts: {}, owner };
}

const streamOf = (id: string, host: string, weights: Weights): StreamRoute => ({
  id,
  host,
  rule: ruleOf(id, weights),
  owner,
});

/** Streams of a server: by name, `*.example.com` for a wildcard, "" for any. */
function tableOf(id: string, routes: Readonly<Record<string, Weights>>): StreamTable {
  const all = Object.entries(routes).map(([host, weights]) => streamOf(`${id} ${host}`, host, weights));
  const any = all.find(({ host }) => host === "");
  return {
    exact: new Map(all.flatMap((each) => (each.host === "" || each.host.startsWith("*") ? [] : [[each.host, each]]))),
    wildcard: new Map(all.flatMap((each) => (each.host.startsWith("*") ? [[each.host.slice(1), each]] : []))),
    ...(any ? { any } : {}),
  };
}

const certificateOf = (hostname: string): Certificate => ({
  hostname,
  secret: { kind: "Secret", namespace: "a", name: hostname },
  version: "1",
  owner,
});

const streamServer = (hostname: string, routes: Readonly<Record<string, Weights>>, ends = false): Server => ({
  kind: "stream",
  hostname,
  streams: tableOf(hostname, routes),
  owner,
  ...(ends ? { tls: { certificates: new Map([[hostname, certificateOf(hostname)]]) } } : {}),
});

function httpServer(hostname: string, pool: string, secure = true): Server {
  const route = {
    id: `http ${hostname}`,
    host: hostname,
    path: { type: "Prefix" as const, value: "" },
    headers: [],
    query: [],
    rule: ruleOf(`http ${hostname}`, { [pool]: 1 }),
    owner,
  };
  const routes: HostRoutes = { exact: new Map(), regex: [], prefix: new Map([["", [route]]]), longestPrefix: 0 };
  return {
    kind: "http",
    hostname,
    owner,
    hosts: { semantics: "Gateway", exact: new Map([[hostname, routes]]), wildcard: new Map() },
    ...(secure ? { tls: { certificates: new Map([[hostname, certificateOf(hostname)]]) } } : {}),
  };
}

/** Says its name to who has said "ask", and ends then. */
async function teller(name: string): Promise<TcpServer> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    // Only at the end of what the client says: its own direction must be able to end alone.
    socket.resume().on("end", () => socket.end(name));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function ask(port: number, host = "127.0.0.1"): Promise<string> {
  const socket = connect({ host, port, allowHalfOpen: true });
  socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
  socket.end("ask");
  let text = "";
  try {
    for await (const chunk of socket) text += String(chunk);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
  }
  return text;
}

/** Names in the certificate that a name gets, and what is said behind it; "" when there is no handshake. */
async function askTls(port: number, servername: string): Promise<string> {
  const socket = connectTls({ host: "127.0.0.1", port, servername, rejectUnauthorized: false });
  socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
  let text = "";
  try {
    await once(socket, "secureConnect");
    const { subjectaltname } = socket.getPeerCertificate();
    socket.write("ask");
    for await (const chunk of socket) text += String(chunk);
    return `${subjectaltname} ${text}`;
  } catch (error) {
    if (error instanceof Error && error.message === "no answer") throw error;
    return "";
  }
}

const portOf = (server: TcpServer | HttpServer): number => (server.address() as AddressInfo).port;

describe.each(planes)("streams and datagrams on %s", (name, why) => {
  const stop = new AbortController();
  const servers: (TcpServer | HttpServer)[] = [];
  const sockets: Datagrams[] = [];
  const ports = new Map<string, number>();
  const pairs = new Map<string, ReturnType<typeof selfSigned>>();
  let plane: DataPlane;

  beforeAll(async () => {
    if (why !== undefined) return;
    for (const each of ["one", "two", "three"]) {
      const server = await teller(each);
      servers.push(server);
      ports.set(each, portOf(server));
      const socket = createSocket("udp4", (message, from) =>
        socket.send(`${each} ${String(message)}`, from.port, from.address),
      );
      socket.bind(0, "127.0.0.1");
      await once(socket, "listening");
      sockets.push(socket);
      ports.set(`udp ${each}`, socket.address().port);
    }
    const own = selfSigned(Date.now(), ["own.example"]);
    const secure = createTls({ cert: own.certificate, key: own.key }, (socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", () => socket.end("secure"));
    });
    const clear = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", (said: Buffer) => {
        const header = /^PROXY [^\r]*/.exec(said.toString());
        socket.end(header ? `clear ${header[0]}` : "clear");
      });
    });
    const web = createHttp((request, response) =>
      response.end(`web ${request.headers.host} ${String(request.headers["x-forwarded-for"])}`),
    );
    for (const [each, server] of Object.entries({ secure, clear, web })) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      servers.push(server);
      ports.set(each, portOf(server));
    }
    plane = await startPlane(name, stop.signal);
  });
  afterAll(async () => {
    stop.abort();
    await plane?.stopped;
    for (const server of servers) server.close();
    for (const socket of sockets) socket.close();
  });

  const poolOf = (key: string, protocol: Pool["protocol"], endpoints: readonly string[]): Pool => ({
    key,
    service: { namespace: "a", name: "db" },
    port: "1",
    protocol,
    endpoints: endpoints.map((each) => ({ address: "127.0.0.1", port: ports.get(each) ?? 0, ready: true, owner })),
  });

  const listenerOf = (name: string, port: number, protocol: ListenerProtocol, ...all: Server[]): Listener => ({
    name,
    port,
    bindPort: port,
    protocol,
    servers: new Map(all.map((each) => [each.hostname, each])),
  });

  async function serve(listeners: readonly Listener[], pools: readonly Pool[], by = plane): Promise<void> {
    const model: RoutingModel = { listeners, pools: new Map(pools.map((pool) => [pool.key, pool])) };
    const keyPair = ({ hostname }: Certificate) => {
      let pair = pairs.get(hostname);
      if (!pair) pairs.set(hostname, (pair = selfSigned(Date.now(), [hostname])));
      return pair;
    };
    const { refused } = await by.apply({ model, keyPair });
    expect(refused).toEqual([]);
    expect(by.listeners().map(({ error }) => error)).toEqual(listeners.map(() => undefined));
  }

  async function many(port: number, count = 24): Promise<Set<string>> {
    return new Set(await Promise.all(Array.from({ length: count }, () => ask(port))));
  }

  test.skipIf(why)("TCP: weights, endpoints that come and go, and nobody behind a port", async () => {
    const [first, second] = [await freePort(), await freePort()];
    const pools = [poolOf("p", "tcp", ["one", "two"]), poolOf("q", "tcp", ["three"]), poolOf("none", "tcp", [])];
    const tcp = (port: number, weights: Weights): Listener =>
      listenerOf(`tcp-${port}`, port, "TCP", streamServer("", { "": weights }));
    await serve([tcp(first, { p: 1, q: 0 }), tcp(second, { none: 1 })], pools);
    expect(await many(first)).toEqual(new Set(["one", "two"]));
    expect(await ask(second)).toBe("");
    await serve([tcp(first, { p: 1, q: 2 }), tcp(second, { none: 1 })], pools);
    expect(await many(first, 64)).toEqual(new Set(["one", "two", "three"]));
    await plane.updatePools([poolOf("p", "tcp", ["two"]), poolOf("none", "tcp", ["one"])]);
    expect(await many(first, 64)).toEqual(new Set(["two", "three"]));
    expect(await ask(second)).toBe("one");
  });

  test.skipIf(why)("one port at several addresses, each of its own", async () => {
    const port = await freePort();
    const at = (address: string, pool: string): Listener => ({
      ...listenerOf(`tcp at ${address}`, port, "TCP", streamServer("", { "": { [pool]: 1 } })),
      address,
    });
    const pools = [poolOf("p", "tcp", ["one"]), poolOf("q", "tcp", ["two"])];
    await serve([at("127.0.0.21", "p"), at("127.0.0.22", "q")], pools);
    expect([await ask(port, "127.0.0.21"), await ask(port, "127.0.0.22")]).toEqual(["one", "two"]);
    await serve([at("127.0.0.22", "p")], pools);
    expect(await ask(port, "127.0.0.22")).toBe("one");
    // Refused, or closed by who still listens there for a moment.
    expect(await ask(port, "127.0.0.21").catch(() => "")).toBe("");
  });

  test.skipIf(why)("endpoints of a port are told the client by the PROXY protocol", async () => {
    const port = await freePort();
    const listener = listenerOf("told", port, "TCP", streamServer("", { "": { t: 1 } }));
    await serve([listener], [{ ...poolOf("t", "tcp", ["clear"]), proxyProtocol: 1 }]);
    const socket = connect({ host: "127.0.0.1", port });
    await once(socket, "connect");
    const own = socket.localPort;
    socket.write("ask");
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    expect(text).toBe(`clear PROXY TCP4 127.0.0.1 127.0.0.1 ${own} ${port}`);
  });

  test.skipIf(why)("UDP: a client stays with its endpoint, and clients are spread", async () => {
    const port = await freePort();
    const udp = listenerOf("udp", port, "UDP", streamServer("", { "": { u: 1 } }));
    await serve([udp], [poolOf("u", "udp", ["udp one", "udp two", "udp three"])]);
    const answered = new Set<string>();
    for (let client = 0; client < 24; client++) {
      const socket = createSocket("udp4");
      const heard = new Set<string>();
      for (let turn = 0; turn < 4; turn++) {
        const answer = once(socket, "message");
        socket.send(`${turn}`, port, "127.0.0.1");
        const [endpoint = "", said] = String((await answer)[0]).split(" ");
        expect(said).toBe(`${turn}`);
        heard.add(endpoint);
      }
      socket.close();
      expect(heard.size).toBe(1);
      for (const each of heard) answered.add(each);
    }
    expect(answered.size).toBeGreaterThan(1);
  });

  test.skipIf(why)("TLS that is passed through, by the name that the client asks for", async () => {
    const port = await freePort();
    const pools = [poolOf("secure", "tcp", ["secure"]), poolOf("none", "tcp", [])];
    const servers = [
      streamServer("a.example", { "a.example": { secure: 1 } }),
      streamServer("*.wild.example", { "x.wild.example": { none: 1 }, "*.wild.example": { secure: 1 } }),
    ];
    await serve([listenerOf("tls", port, "TLS", ...servers)], pools);
    expect(await askTls(port, "a.example")).toBe("DNS:own.example secure");
    expect(await askTls(port, "A.Example")).toBe("DNS:own.example secure");
    expect(await askTls(port, "b.wild.example")).toBe("DNS:own.example secure");
    expect(await askTls(port, "c.b.wild.example")).toBe("DNS:own.example secure");
    expect(await askTls(port, "x.wild.example")).toBe("");
    expect(await askTls(port, "wild.example")).toBe("");
    expect(await askTls(port, "other.example")).toBe("");
  });

  test.skipIf(why)("one port: some names are passed through, some end here, some speak HTTP", async () => {
    const port = await freePort();
    const pools = [
      poolOf("secure", "tcp", ["secure"]),
      poolOf("clear", "tcp", ["clear"]),
      poolOf("web", "http", ["web"]),
    ];
    const through = streamServer("through.example", { "through.example": { secure: 1 } });
    const ends = streamServer("ends.example", { "ends.example": { clear: 1 } }, true);
    await serve([listenerOf("tls", port, "TLS", through)], pools);
    expect(await askTls(port, "through.example")).toBe("DNS:own.example secure");
    expect(await askTls(port, "ends.example")).toBe("");
    await serve([listenerOf("tls", port, "TLS", through, ends, httpServer("web.example", "web"))], pools);
    await eventually("the name that ends here", async () => (await askTls(port, "ends.example")) !== "");
    expect(await askTls(port, "through.example")).toBe("DNS:own.example secure");
    expect(await askTls(port, "ends.example")).toBe("DNS:ends.example clear");
    expect(await get(port, "web.example")).toMatchObject({ status: 200, body: "web web.example 127.0.0.1" });
    expect((await get(port, "web.example", "ends.example")).status).toBe(421);
    // A new key pair.
    pairs.set("ends.example", selfSigned(Date.now(), ["ends.example", "new.example"]));
    const renewed = streamServer("ends.example", { "ends.example": { clear: 1 } }, true);
    const certificates = new Map([["ends.example", { ...certificateOf("ends.example"), version: "2" }]]);
    await serve([listenerOf("tls", port, "TLS", through, { ...renewed, tls: { certificates } })], pools);
    expect(await askTls(port, "ends.example")).toBe("DNS:ends.example, DNS:new.example clear");
  });

  test.skipIf(why)("one port without TLS: a client may begin with HTTP/1.1 or with HTTP/2", async () => {
    const http2 = createHttp2();
    http2.on("stream", (stream, headers) => {
      stream.respond({ ":status": 200, "x-for": String(headers["x-forwarded-for"]) }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end("two");
    });
    http2.listen(0, "127.0.0.1");
    await once(http2, "listening");
    try {
      const port = await freePort();
      const { port: at } = http2.address() as AddressInfo;
      const endpoints = [{ address: "127.0.0.1", port: at, ready: true, owner }];
      const pools = [{ ...poolOf("two", "h2c", []), endpoints }, poolOf("web", "http", ["web"])];
      const web = httpServer("web.example", "web", false);
      const plain = (): Promise<Reply> => getClear(port, "web.example");
      await serve([listenerOf("http", port, "HTTP", web)], pools);
      expect(await plain()).toMatchObject({ status: 200, body: "web web.example 127.0.0.1" });
      await serve([listenerOf("http", port, "HTTP", web, httpServer("two.example", "two", false))], pools);
      expect(await plain()).toMatchObject({ status: 200, body: "web web.example 127.0.0.1" });
      expect((await getClear(port, "two.example")).body).toBe("two");
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      const stream = session.request({ ":path": "/", ":authority": "two.example" });
      let [text, status] = ["", ""];
      const trailers = once(stream, "trailers");
      stream.on("response", (headers) => (status = `${headers[":status"]} ${String(headers["x-for"])}`));
      for await (const chunk of stream) text += String(chunk);
      expect([status, text, (await trailers)[0]]).toMatchObject(["200 127.0.0.1", "two", { "grpc-status": "0" }]);
      session.destroy();
    } finally {
      http2.close();
    }
  });

  async function getClear(port: number, host: string): Promise<Reply> {
    const sent = httpRequest({ host: "127.0.0.1", port, headers: { host }, agent: false }).end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    return read(response);
  }

  test.skipIf(why ?? name !== "nginx")(
    "nginx that is killed comes back as it was, with its servers inside",
    async () => {
      const directory = await mkdtemp(join(tmpdir(), "fairlead-test-"));
      const over = new AbortController();
      const own = await startPlane("nginx", over.signal, { directory });
      try {
        const port = await freePort();
        const through = streamServer("through.example", { "through.example": { secure: 1 } });
        const ends = streamServer("ends.example", { "ends.example": { clear: 1 } }, true);
        const pools = [poolOf("secure", "tcp", ["secure"]), poolOf("clear", "tcp", ["clear"])];
        await serve([listenerOf("tls", port, "TLS", through, ends)], pools, own);
        expect(await askTls(port, "ends.example")).toContain("DNS:ends.example");
        const master = async (): Promise<number> => Number(await readFile(join(directory, "nginx.pid"), "utf8"));
        const before = await master();
        process.kill(before, "SIGKILL");
        await eventually("there is another one", async () => (await master().catch(() => before)) !== before);
        await eventually("it serves", async () => (await askTls(port, "ends.example")).endsWith(" clear"));
        expect(await askTls(port, "through.example")).toBe("DNS:own.example secure");
        await own.updatePools([poolOf("clear", "tcp", [])]);
        expect(await askTls(port, "ends.example")).not.toContain("clear");
      } finally {
        over.abort();
        await own.stopped;
        await rm(directory, { recursive: true, force: true });
      }
    },
  );

  async function get(port: number, servername: string, host = servername): Promise<Reply> {
    const options = { host: "127.0.0.1", port, servername, headers: { host }, rejectUnauthorized: false, agent: false };
    const sent = httpsRequest(options).end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    return read(response);
  }
});
