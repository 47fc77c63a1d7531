import { once } from "node:events";
import { Agent } from "node:https";
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer as createHttp2,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { connect as connectTls } from "node:tls";
import { expect, test } from "vitest";
import { selfSigned } from "../certificates.ts";
import { send } from "../clients.ts";
import { eventually, type TestCluster } from "../cluster.ts";
import { type Fixture, rule } from "../suite.ts";
import type { Cannots } from "./index.ts";

/** Names in the certificate that a client gets for a server name. */
async function certificateNames(cluster: TestCluster, servername: string): Promise<string> {
  const socket = connectTls({
    host: "127.0.0.1",
    port: cluster.port("https"),
    rejectUnauthorized: false,
    ...(servername ? { servername } : {}),
  });
  await once(socket, "secureConnect");
  const { subjectaltname = "" } = socket.getPeerCertificate();
  socket.destroy();
  return subjectaltname;
}

export function tlsContract(made: Fixture, cannot: Cannots): void {
  async function shopWithTls(): Promise<TestCluster> {
    const cluster = await made.cluster();
    cluster.service("web", [await made.backend("a")]);
    cluster.secret("one", selfSigned(["shop.test"]));
    cluster.secret("two", selfSigned(["*.shop.test"]));
    cluster.addIngress("web", {
      rules: [rule("web"), rule("web", { host: "*.shop.test" })],
      tls: [
        { hosts: ["shop.test"], secretName: "one" },
        { hosts: ["*.shop.test"], secretName: "two" },
      ],
    });
    await cluster.served();
    return cluster;
  }

  test("the certificate goes by the server name; others get the default one", async () => {
    const cluster = await shopWithTls();
    expect(await certificateNames(cluster, "shop.test")).toBe("DNS:shop.test");
    expect(await certificateNames(cluster, "www.shop.test")).toBe("DNS:*.shop.test");
    const standard = await certificateNames(cluster, "a.b.shop.test");
    expect(standard).not.toContain("shop.test");
    expect(await certificateNames(cluster, "")).toBe(standard);
    const reply = await send(cluster, "/x", { tls: {} });
    expect(JSON.parse(reply.body)).toMatchObject({
      url: "/x",
      headers: { "x-forwarded-proto": "https", "x-forwarded-port": String(cluster.port("https")) },
    });
  });

  test("a certificate for any name is also for clients that name no server", async () => {
    const cluster = await made.cluster();
    cluster.service("web", [await made.backend("a")]);
    cluster.secret("any", selfSigned(["any.test"]));
    cluster.addIngress("web", {
      defaultBackend: { service: { name: "web", port: { number: 80 } } },
      tls: [{ secretName: "any" }],
    });
    await cluster.served();
    expect(await certificateNames(cluster, "")).toBe("DNS:any.test");
    expect(await certificateNames(cluster, "whatever.test")).toBe("DNS:any.test");
  });

  test("a new certificate is served at once, and open connections go on", async () => {
    const cluster = await shopWithTls();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<unknown>();
    const ask = async () => {
      const { request, answer } = (await import("../clients.ts")).begin(cluster, "/", { tls: {}, agent });
      request.on("socket", (socket) => ports.add(socket));
      request.end();
      return (await (await import("../clients.ts")).read(await answer)).status;
    };
    expect(await ask()).toBe(200);
    cluster.secret("one", selfSigned(["shop.test", "new.test"]));
    await eventually("the new certificate", async () =>
      (await certificateNames(cluster, "shop.test")).includes("new.test"),
    );
    expect(await ask()).toBe(200);
    expect(ports.size).toBe(1);
    agent.destroy();
  });

  test("a bad Secret takes its own hosts to the default certificate and harms no other", async () => {
    const cluster = await shopWithTls();
    const standard = await certificateNames(cluster, "unknown.test");
    cluster.secret("one", { "tls.crt": "nonsense", "tls.key": "nonsense" });
    await eventually(
      "the default certificate",
      async () => (await certificateNames(cluster, "shop.test")) === standard,
    );
    expect(await certificateNames(cluster, "www.shop.test")).toBe("DNS:*.shop.test");
    expect((await send(cluster, "/", { tls: {} })).status).toBe(200);
    cluster.secret("one", selfSigned(["shop.test"]));
    await eventually("it heals", async () => (await certificateNames(cluster, "shop.test")) === "DNS:shop.test");
  });

  test("TLS below 1.2 is refused", async () => {
    const cluster = await shopWithTls();
    const socket = connectTls({
      host: "127.0.0.1",
      port: cluster.port("https"),
      rejectUnauthorized: false,
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    await expect(once(socket, "secureConnect")).rejects.toThrow();
  });

  test("HTTP/2: many requests on one connection, with bodies and trailers", async () => {
    const cluster = await made.cluster();
    const backend = await made.backend("a", (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        response.writeHead(200, {
          "set-cookie": ["a=1", "b=2"],
          trailer: "x-sum",
          "x-proto": request.headers["x-forwarded-proto"] ?? "",
        });
        response.write(`${request.method} ${request.headers.host} ${request.url} ${Buffer.concat(chunks).length}`);
        response.addTrailers({ "x-sum": "42" });
        response.end();
      });
    });
    cluster.service("web", [backend]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    const session = connectHttp2(`https://127.0.0.1:${cluster.port("https")}`, {
      rejectUnauthorized: false,
      servername: "shop.test",
    });
    const body = Buffer.alloc(200_000, "x");
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        index % 2 ? ask(session, `/${index}`) : ask(session, `/${index}`, { method: "POST", body }),
      ),
    );
    for (const [index, reply] of replies.entries()) {
      expect(reply.body).toBe(`${index % 2 ? "GET" : "POST"} shop.test /${index} ${index % 2 ? 0 : body.length}`);
      expect(reply.headers[":status"]).toBe(200);
      expect(reply.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
      expect(reply.headers["x-proto"]).toBe("https");
      if (!cannot.trailers) expect(reply.trailers["x-sum"]).toBe("42");
    }
    expect((await ask(session, "/", { host: "other.test" })).headers[":status"]).toBe(404);
    session.close();
  });

  test("gRPC: HTTP/2 to the endpoints of a port that says appProtocol kubernetes.io/h2c", async () => {
    const backend = await grpcBackend();
    const cluster = await made.cluster();
    cluster.service("web", [backend], [{ name: "grpc", port: 80, appProtocol: "kubernetes.io/h2c" }]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    const session = connectHttp2(`https://127.0.0.1:${cluster.port("https")}`, {
      rejectUnauthorized: false,
      servername: "shop.test",
    });
    const replies = await Promise.all(
      Array.from({ length: 20 }, () =>
        ask(session, "/pkg.Service/Method", { method: "POST", body: Buffer.alloc(5000), te: "trailers" }),
      ),
    );
    for (const reply of replies) {
      expect(reply.body).toBe("POST /pkg.Service/Method shop.test trailers 5000");
      expect(reply.trailers["grpc-status"]).toBe("0");
    }
    // A client that speaks HTTP/1.1 reaches them too.
    expect((await send(cluster, "/x")).body).toBe("GET /x shop.test undefined 0");
    session.close();
    backend.close();
  });
}

/**
 * A cleartext HTTP/2 backend that answers as gRPC servers do: the status is in the trailers. A proxy may say Host in the
 * place of the authority (RFC 9113 section 8.3.1).
 */
function grpcBackend(): Promise<{ port: number; close(): void }> {
  const server = createHttp2();
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream, headers) => {
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => (bytes += chunk.length));
    stream.on("end", () => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(
        `${headers[":method"]} ${headers[":path"]} ${headers[":authority"] ?? headers.host} ${String(headers["te"])} ${bytes}`,
      );
    });
  });
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () =>
      resolve({
        port: (server.address() as AddressInfo).port,
        close() {
          server.close();
          for (const session of sessions) session.destroy();
        },
      }),
    ),
  );
}

interface Http2Reply {
  headers: Record<string, unknown>;
  trailers: Record<string, unknown>;
  body: string;
}

function ask(
  session: ClientHttp2Session,
  path: string,
  options: { method?: string; body?: Buffer; host?: string; te?: string } = {},
): Promise<Http2Reply> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":path": path,
      ":method": options.method ?? "GET",
      ":authority": options.host ?? "shop.test",
      ...(options.te ? { te: options.te } : {}),
    });
    const reply: Http2Reply = { headers: {}, trailers: {}, body: "" };
    stream.on("response", (headers) => (reply.headers = headers));
    stream.on("trailers", (trailers) => (reply.trailers = trailers));
    stream.on("data", (chunk: Buffer) => (reply.body += chunk.toString()));
    stream.on("error", reject);
    stream.on("close", () => resolve(reply));
    stream.end(options.body);
  });
}
