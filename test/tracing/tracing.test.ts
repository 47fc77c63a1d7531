// Requests in traces, through each data plane: what endpoints are told of them, and the spans that a receiver of OTLP gets.
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import {
  createServer as createHttp2Server,
  connect as connectHttp2,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
} from "node:http2";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  createPost,
  createSpanExporter,
  type DataPlaneName,
  missingFor,
  type SpanExporter,
  startDataPlane,
  textAttribute,
} from "../../src/dataplane/index.ts";
import { resources } from "../../src/kube/index.ts";
import { createMetrics, silentLogger, systemClock } from "../../src/system/index.ts";
import { send, sendBytes } from "../dataplane/clients.ts";
import { eventually, type TestCluster } from "../dataplane/cluster.ts";
import { fixture, rule } from "../dataplane/suite.ts";
import { embeddedProgram } from "../support/embedded-program.ts";
import { startSpanReceiver, type Taken } from "./receiver.ts";

const program = await embeddedProgram();
const folder = mkdtempSync(join(tmpdir(), "fairlead-tracing-"));
const receiver = await startSpanReceiver();
const metrics = createMetrics();
const exporter: SpanExporter = createSpanExporter({
  post: createPost({ url: receiver.url, headers: { "x-tenant": "shop" }, timeout: 10_000, compress: true }),
  resource: [textAttribute("service.name", "edge")],
  version: "1.2.3",
  wait: 50,
  metrics,
  clock: systemClock,
  log: silentLogger,
});
afterAll(async () => {
  await exporter.close();
  expect(receiver.faults).toEqual([]);
  expect(await metrics.text()).toContain(`fairlead_tracing_spans_total{outcome="exported"} ${receiver.spans.length}`);
  await receiver.close();
  rmSync(folder, { recursive: true });
});

const trace = "0af7651916cd43dd8448eb211c80319c";
const span = "b7ad6b7169203331";
const state = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";
const shape = /^00-([0-9a-f]{32})-([0-9a-f]{16})-(0[0-3])$/;

/** Where an endpoint has been told that its request is. */
function told(headers: IncomingHttpHeaders): { traceId: string; spanId: string; flags: string } {
  const [, traceId = "", spanId = "", flags = ""] = shape.exec(String(headers["traceparent"])) ?? [];
  expect(headers["traceparent"]).toMatch(shape);
  expect(traceId).not.toMatch(/^0+$/);
  expect(spanId).not.toMatch(/^0+$/);
  return { traceId, spanId, flags };
}

/** Header fields that an endpoint has got. */
async function through(
  cluster: TestCluster,
  headers: Readonly<Record<string, string | string[]>>,
  path = "/",
): Promise<IncomingHttpHeaders> {
  const reply = await send(cluster, path, { headers });
  expect(reply.status).toBe(200);
  return (JSON.parse(reply.body) as { headers: IncomingHttpHeaders }).headers;
}

async function spanWith(test: (taken: Taken) => boolean): Promise<Taken> {
  await eventually("its span comes", () => receiver.spans.some(test));
  return receiver.spans.find(test) as Taken;
}

/** An endpoint of HTTP/2 in clear, as of gRPC, that answers with the header fields it got. */
async function http2Backend(): Promise<{ readonly port: number; close(): void }> {
  const server = createHttp2Server();
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream, headers) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    stream.end(JSON.stringify({ ...headers }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      for (const session of sessions) session.destroy();
    },
  };
}

/** The answer's text to a request over TLS and HTTP/2. */
async function overHttp2(
  cluster: TestCluster,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<string> {
  const session = connectHttp2(`https://127.0.0.1:${cluster.port("https")}`, {
    rejectUnauthorized: false,
    servername: "shop.test",
  });
  const stream = session.request({ ":path": path, ":authority": "shop.test", ...headers });
  stream.end();
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += String(chunk)));
  await once(stream, "close");
  session.close();
  return text;
}

for (const name of ["embedded", "haproxy", "nginx"] satisfies DataPlaneName[]) {
  const why = await missingFor(name);
  const log = join(folder, `${name}.log`);
  const planeOf = (sample: number | undefined, logs = false) =>
    fixture((options) =>
      startDataPlane(name, {
        ...options,
        embeddedProgram: program,
        processes: 1,
        ...(logs ? { accessLog: openSync(log, "a") } : {}),
        ...(sample === undefined ? {} : { tracing: { sample, add: exporter.add, lost: exporter.lost } }),
      }),
    );

  describe.skipIf(why !== undefined)(`traces through ${name}${why === undefined ? "" : ` (${why})`}`, () => {
    const all = planeOf(1, true);
    const few = planeOf(0);
    const every = planeOf(1);
    const off = planeOf(undefined);

    test("each request is a span, in the client's trace or in one of its own", { timeout: 30_000 }, async () => {
      const backend = await all.backend("web");
      const grpc = await http2Backend();
      const cluster = await all.cluster();
      cluster.service("web", [backend]);
      cluster.service("nobody", []);
      cluster.service("grpc", [grpc], [{ name: "grpc", port: 80, appProtocol: "kubernetes.io/h2c" }]);
      cluster.addIngress("web", {
        rules: [rule("web"), rule("nobody", { path: "/nobody" }), rule("grpc", { path: "/pkg.Service" })],
      });
      await cluster.served();
      const before = Date.now();

      // The client says nothing.
      const own = told(
        await through(cluster, { "user-agent": "curl/8", "x-request-id": "mine-1", tracestate: state }, "/a?b=c"),
      );
      expect(own.flags).toBe("03");
      const first = await spanWith(({ traceId }) => traceId === own.traceId);
      expect(first).toMatchObject({ spanId: own.spanId, name: "GET /", kind: 2, flags: 0x103 });
      expect(first).not.toHaveProperty("parentSpanId");
      expect(receiver.last).toMatchObject({ resource: { "service.name": "edge" }, headers: { "x-tenant": "shop" } });
      expect(first).not.toHaveProperty("traceState");
      expect(first).not.toHaveProperty("status");
      expect(first.attributes).toEqual({
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/a",
        "url.query": "b=c",
        "http.route": "/",
        "server.address": "shop.test",
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
        "http.response.status_code": "200",
        "fairlead.request.id": "mine-1",
        "fairlead.route.kind": "Ingress",
        "fairlead.route.namespace": "shop",
        "fairlead.route.name": "web",
        "fairlead.route.rule": "spec.rules[0].http.paths[0]",
        "fairlead.backend": "shop/web:80",
        "fairlead.endpoint": `127.0.0.1:${backend.port}`,
      });
      const began = Number(BigInt(first.startTimeUnixNano) / 1_000_000n);
      // Their clock is this machine's, read at another moment.
      expect(began).toBeGreaterThan(before - 1_000);
      expect(began).toBeLessThan(Date.now() + 1_000);

      // It has a trace: what it says is followed, and what vendors say is passed on.
      const headers = { traceparent: `00-${trace}-${span}-01`, tracestate: state };
      const got = await through(cluster, headers, "/traced");
      expect(told(got)).toMatchObject({ traceId: trace, flags: "01" });
      expect(told(got).spanId).not.toBe(span);
      expect(got["tracestate"]).toBe(state);
      const second = await spanWith(({ spanId }) => spanId === told(got).spanId);
      expect(second).toMatchObject({ traceId: trace, parentSpanId: span, traceState: state, flags: 0x301 });

      // HTTP/2 over TLS, to HTTP/1.1 and to gRPC's HTTP/2.
      const secure = JSON.parse(await overHttp2(cluster, "/secure", headers)) as { headers: IncomingHttpHeaders };
      expect(secure.headers["tracestate"]).toBe(state);
      const third = await spanWith(({ spanId }) => spanId === told(secure.headers).spanId);
      expect(third).toMatchObject({ traceId: trace, parentSpanId: span });
      expect(third.attributes).toMatchObject({ "url.scheme": "https", "network.protocol.version": "2" });
      const called = JSON.parse(
        await overHttp2(cluster, "/pkg.Service/Call", { ...headers, ":method": "POST", te: "trailers" }),
      ) as IncomingHttpHeaders;
      expect(told(called)).toMatchObject({ traceId: trace, flags: "01" });
      expect(called["tracestate"]).toBe(state);
      const fourth = await spanWith(({ spanId }) => spanId === told(called).spanId);
      expect(fourth).toMatchObject({ name: "POST /pkg.Service", parentSpanId: span });
      expect(fourth.attributes).toMatchObject({ "fairlead.backend": "shop/grpc:80" });

      // Answers of our own.
      const none = { ...headers, "user-agent": name };
      expect((await send(cluster, "/nobody", { headers: none })).status).toBe(503);
      const failed = await spanWith(
        ({ attributes: a }) => a["user_agent.original"] === name && a["url.path"] === "/nobody",
      );
      expect(failed).toMatchObject({ traceId: trace, parentSpanId: span, status: { code: 2 } });
      expect(failed.attributes).toMatchObject({ "error.type": "503", "fairlead.backend": "shop/nobody:80" });
      expect((await send(cluster, "/x", { host: "unknown.test", headers: none })).status).toBe(404);
      const lost = await spanWith(({ attributes: a }) => a["user_agent.original"] === name && a["url.path"] === "/x");
      expect(lost).toMatchObject({ traceId: trace, parentSpanId: span, name: "GET" });
      expect(lost).not.toHaveProperty("status");
      expect(lost.attributes).toMatchObject({ "http.response.status_code": "404", "server.address": "unknown.test" });

      // The log names the trace that endpoints know.
      const lines = () =>
        readFileSync(log, "utf8")
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line) as Record<string, unknown>);
      await eventually("all are written down", () => lines().length >= 6);
      expect(lines().find(({ request }) => request === "mine-1")).toMatchObject({ trace: own.traceId });
      grpc.close();
    });

    test(
      "what cannot be followed begins a trace, and nobody hears of another's state",
      { timeout: 30_000 },
      async () => {
        const backend = await all.backend("web");
        const cluster = await all.cluster();
        cluster.service("web", [backend]);
        cluster.addIngress("web", { rules: [rule("web")] });
        await cluster.served();
        const good = `00-${trace}-${span}-01`;
        const bad: readonly (string | string[])[] = [
          `ff-${trace}-${span}-01`,
          `00-${trace}-${span}-01-more`,
          `00-${trace}-${span}-01-`,
          `01-${trace}-${span}-01more`,
          `00-${trace.toUpperCase()}-${span}-01`,
          `00-${trace}-${span}-0A`,
          `00-${"0".repeat(32)}-${span}-01`,
          `00-${trace}-${"0".repeat(16)}-01`,
          `00-${trace}-${span}`,
          `00-${trace}-${span}-1`,
          "none",
          [good, good],
          [good, `00-${trace}-${"c".repeat(16)}-00`],
        ];
        for (const traceparent of bad) {
          const got = await through(cluster, { traceparent, tracestate: state });
          expect([traceparent, told(got).traceId === trace]).toEqual([traceparent, false]);
          expect([traceparent, told(got).flags]).toEqual([traceparent, "03"]);
          expect([traceparent, got["tracestate"]]).toEqual([traceparent, undefined]);
        }
        // Later versions, and flags: those that are known are passed on.
        for (const [traceparent, flags] of [
          [`01-${trace}-${span}-01`, "01"],
          [`cc-${trace}-${span}-01-what-the-future-will-be`, "01"],
          [`00-${trace}-${span}-ff`, "03"],
          [`00-${trace}-${span}-02`, "02"],
        ]) {
          const got = await through(cluster, { traceparent: String(traceparent), tracestate: state });
          expect([traceparent, told(got)]).toMatchObject([traceparent, { traceId: trace, flags }]);
          expect(got["tracestate"]).toBe(state);
        }
        // Vendors may say something in several fields.
        const several = await through(cluster, { traceparent: good, tracestate: ["a=1", "b=2"] });
        expect(several["tracestate"]?.toString().replaceAll(" ", "")).toBe("a=1,b=2");
        // Ids are drawn for each request, also on one connection.
        const text = await sendBytes(cluster.port("http"), "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n".repeat(20));
        const seen = [...text.matchAll(/"traceparent":"00-(\w{32})-(\w{16})-03"/g)];
        expect(seen).toHaveLength(20);
        for (const part of [1, 2]) expect(new Set(seen.map((each) => each[part])).size).toBe(20);
        // A Connection field takes nothing away that we say.
        const kept = await through(cluster, { connection: "traceparent, close" });
        expect(told(kept).flags).toBe("03");
      },
    );

    test("without a share only what a client has asked for is recorded", { timeout: 30_000 }, async () => {
      const backend = await few.backend("web");
      const silent = await few.backend("silent", () => {});
      const cluster = await few.cluster();
      cluster.service("web", [backend]);
      cluster.service("silent", [silent]);
      cluster.addIngress("web", { rules: [rule("web"), rule("silent", { path: "/silent" })] });
      await cluster.served();
      const own = told(await through(cluster, {}));
      expect(own.flags).toBe("02");
      const unsampled = told(await through(cluster, { traceparent: `00-${trace}-${span}-00` }));
      expect(unsampled).toMatchObject({ traceId: trace, flags: "00" });
      expect((await send(cluster, "/", { host: "unknown.test" })).status).toBe(404);
      const asked = told(await through(cluster, { traceparent: `00-${trace}-${span}-01` }));
      const found = await spanWith(({ spanId }) => spanId === asked.spanId);
      expect(found.attributes).toMatchObject({ "fairlead.route.name": "web", "http.response.status_code": "200" });

      // Another protocol on the connection, and one who does not wait for the answer.
      const leaving = connect(cluster.port("http"), "127.0.0.1");
      await once(leaving, "connect");
      const parent = "c".repeat(16);
      leaving.write(`GET /silent HTTP/1.1\r\nHost: shop.test\r\ntraceparent: 00-${trace}-${parent}-01\r\n\r\n`);
      const [request] = (await once(silent.server, "request")) as [{ headers: IncomingHttpHeaders }];
      leaving.destroy();
      const left = await spanWith(({ spanId }) => spanId === told(request.headers).spanId);
      expect(left.attributes).toMatchObject({ "error.type": "499" });
      expect(left.attributes).not.toHaveProperty("http.response.status_code");
      const switched = sendBytes(
        cluster.port("http"),
        `GET /silent HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: other\r\ntraceparent: 00-${trace}-${parent}-01\r\n\r\n`,
        300,
      );
      const [upgrade, upgraded] = (await once(silent.server, "upgrade")) as [{ headers: IncomingHttpHeaders }, Socket];
      expect(told(upgrade.headers)).toMatchObject({ traceId: trace, flags: "01" });
      upgraded.destroy();
      await switched;
      await spanWith(({ spanId }) => spanId === told(upgrade.headers).spanId);

      const ids = receiver.spans.map(({ spanId }) => spanId);
      for (const { spanId } of [own, unsampled]) expect(ids).not.toContain(spanId);
      expect(
        receiver.spans.filter(({ attributes: a }) => a["fairlead.endpoint"] === `127.0.0.1:${backend.port}`),
      ).toHaveLength(1);
    });

    test("an Ingress may be left out, or begin traces of its own", { timeout: 30_000 }, async () => {
      const backend = await every.backend("web");
      const cluster = await every.cluster();
      cluster.client.put(resources.IngressClass, {
        metadata: { name: "nginx" },
        spec: { controller: "k8s.io/ingress-nginx" },
      });
      cluster.service("web", [backend]);
      const annotate = (host: string, annotations: Readonly<Record<string, string>>): void =>
        cluster.addIngress(
          host,
          { ingressClassName: "nginx", rules: [rule("web", { host: `${host}.test` })] },
          Object.fromEntries(
            Object.entries(annotations).map(([key, value]) => [`nginx.ingress.kubernetes.io/${key}`, value]),
          ),
        );
      annotate("off", { "enable-opentelemetry": "false" });
      annotate("own", { "opentelemetry-trust-incoming-span": "false", "rewrite-target": "/rewritten" });
      annotate("both", { "enable-opentelemetry": "true", "opentelemetry-trust-incoming-span": "true" });
      await cluster.served();
      const ask = async (
        host: string,
        headers: Readonly<Record<string, string | string[]>>,
      ): Promise<IncomingHttpHeaders> => {
        const reply = await send(cluster, "/asked?a=b", { host: `${host}.test`, headers });
        expect(reply.status).toBe(200);
        return (JSON.parse(reply.body) as { headers: IncomingHttpHeaders }).headers;
      };
      for (const flags of ["00", "01"]) {
        const headers = {
          traceparent: `00-${trace}-${span}-${flags}`,
          tracestate: state,
          "user-agent": `${name}-${flags}`,
        };
        expect(await ask("off", headers)).toMatchObject(headers);
        const own = await ask("own", headers);
        expect(told(own)).toMatchObject({ flags: "03" });
        expect(told(own).traceId).not.toBe(trace);
        expect(own).not.toHaveProperty("tracestate");
        const found = await spanWith(({ spanId }) => spanId === told(own).spanId);
        expect(found).not.toHaveProperty("parentSpanId");
        expect(found.attributes).toMatchObject({
          "url.path": "/asked",
          "url.query": "a=b",
          "http.request.method": "GET",
        });
        const both = await ask("both", headers);
        expect(told(both)).toMatchObject({ traceId: trace, flags });
        expect(both["tracestate"]).toBe(state);
      }
      expect(await ask("off", { traceparent: "nonsense", tracestate: state })).toMatchObject({
        traceparent: "nonsense",
        tracestate: state,
      });
      expect(await ask("off", {})).not.toHaveProperty("traceparent");
      expect(told(await ask("own", {})).flags).toBe("03");
      expect(receiver.spans.filter(({ attributes: a }) => a["server.address"] === "off.test")).toEqual([]);
    });

    test("untraced, all that a client says is passed on as it is", { timeout: 30_000 }, async () => {
      const backend = await off.backend("web");
      const grpc = await http2Backend();
      const cluster = await off.cluster();
      cluster.service("web", [backend]);
      cluster.service("grpc", [grpc], [{ name: "grpc", port: 80, appProtocol: "kubernetes.io/h2c" }]);
      cluster.addIngress("web", { rules: [rule("web"), rule("grpc", { path: "/pkg.Service" })] });
      await cluster.served();
      for (const traceparent of [`00-${trace}-${span}-01`, "nonsense"]) {
        const headers = { traceparent, tracestate: state };
        expect(await through(cluster, headers)).toMatchObject(headers);
        const secure = JSON.parse(await overHttp2(cluster, "/", headers)) as { headers: IncomingHttpHeaders };
        expect(secure.headers).toMatchObject(headers);
        const called = await overHttp2(cluster, "/pkg.Service/Call", { ...headers, ":method": "POST", te: "trailers" });
        expect(JSON.parse(called)).toMatchObject(headers);
      }
      expect(await through(cluster, {})).not.toHaveProperty("traceparent");
      grpc.close();
    });
  });
}
