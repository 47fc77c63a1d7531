import { mkdtempSync, rmSync } from "node:fs";
import http2 from "node:http2";
import https from "node:https";
import { connect as plainConnect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMetrics, silentLogger, systemClock } from "../../system/index.ts";
import type { ApiHandler } from "../handler.ts";
import { openPki, type KeyPair, type Pki } from "../pki/index.ts";
import { startTestApi, type TestApi } from "../test-api.ts";
import { serveHttps, ServeError, type Served } from "./serve.ts";

const configMaps = "/api/v1/namespaces/default/configmaps";
let dir: string;
let pki: Pki;
let own: KeyPair;
let client: KeyPair;
let api: TestApi;
let served: Served;
/** Signals of requests, the latest last. */
const signals: AbortSignal[] = [];
const ended = new AbortController();
const metrics = createMetrics();

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "serve-"));
  pki = await openPki(join(dir, "pki"), systemClock);
  own = await pki.server("server", { name: "server", hosts: ["127.0.0.1"] });
  client = await pki.client("admin", { user: "admin", groups: ["system:masters"] });
  api = await startTestApi({ more: { metrics } });
  const handler: ApiHandler = {
    ...api.handler,
    handle: (request) => {
      signals.push(request.signal);
      return api.handler.handle(request);
    },
  };
  served = await serveHttps(handler, options(0));
});
afterAll(async () => {
  ended.abort();
  await served.stopped;
  await api.stop();
  rmSync(dir, { recursive: true, force: true });
});

const options = (port: number) => ({
  host: "127.0.0.1",
  port,
  ...own,
  clientCa: pki.ca,
  metrics,
  signal: ended.signal,
  log: silentLogger,
});

interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly bytes: Buffer;
}

/** HTTP/1.1. */
function ask(
  method: string,
  path: string,
  {
    body,
    headers = {},
    who = client,
  }: { body?: string | Buffer; headers?: Record<string, string>; who?: KeyPair | null } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = https.request(
      { host: "127.0.0.1", port: served.port, method, path, ca: pki.ca, ...who, agent: false, headers },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes: Buffer.concat(parts) }),
        );
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

const json = (answer: Answer): Record<string, unknown> =>
  JSON.parse(answer.bytes.toString()) as Record<string, unknown>;

describe("HTTPS", () => {
  it("knows its client by the certificate", async () => {
    expect((await ask("GET", configMaps)).status).toBe(200);
    const unknown = await ask("GET", configMaps, { who: null });
    expect(json(unknown)).toMatchObject({
      code: 403,
      message: expect.stringContaining('User "system:anonymous" cannot list'),
    });
    expect((await ask("GET", "/healthz", { who: null })).bytes.toString()).toBe("ok");
  });

  it("counts handshakes that fail, how long authentication takes, and what is left of certificates", async () => {
    const value = async (series: string): Promise<number> =>
      Number(
        (await metrics.text())
          .split("\n")
          .find((line) => line.startsWith(`${series} `))
          ?.split(" ")[1] ?? 0,
      );
    const [good, bad, ends] = [
      'authentication_duration_seconds_count{result="success"}',
      'authentication_duration_seconds_count{result="failure"}',
      "apiserver_client_certificate_expiration_seconds_count",
    ] as const;
    const before = [await value(good), await value(bad), await value(ends)] as const;
    await ask("GET", "/healthz");
    await ask("GET", "/healthz", { who: null });
    await ask("GET", "/healthz", { who: null, headers: { authorization: "Bearer none" } });
    expect([await value(good), await value(bad), await value(ends)]).toEqual([
      before[0] + 2,
      before[1] + 1,
      before[2] + 1,
    ]);
    expect(await value('apiserver_client_certificate_expiration_seconds_bucket{le="3600"}')).toBe(0);
    const failed = await value("apiserver_tls_handshake_errors_total");
    await new Promise<void>((resolve) => {
      const socket = plainConnect(served.port, "127.0.0.1", () => socket.write("no TLS at all\r\n\r\n"));
      socket.on("error", () => {});
      socket.on("close", () => resolve());
    });
    expect(await value("apiserver_tls_handshake_errors_total")).toBe(failed + 1);
  });

  it("does not take a certificate of another authority, or a token", async () => {
    const other = await openPki(join(dir, "other"), systemClock);
    const forged = await other.client("admin", { user: "admin", groups: ["system:masters"] });
    expect(json(await ask("GET", configMaps, { who: forged }))).toMatchObject({ code: 401, reason: "Unauthorized" });
    const token = await ask("GET", configMaps, { who: null, headers: { authorization: "Bearer x" } });
    expect(token.status).toBe(401);
    const told = (await metrics.text()).split("\n");
    expect(told.find((line) => line.includes('resource="configmaps"') && line.includes('code="401"'))).toMatch(
      /^apiserver_request_total\{verb="LIST",.*,scope="namespace",.*\} \d+$/,
    );
    expect(told).toContain('apiserver_current_inflight_requests{request_kind="readOnly"} 0');
  });

  it("reads JSON, YAML and protobuf, and nothing else", async () => {
    const post = (name: string, type: string | undefined, body: string | Buffer) =>
      ask("POST", configMaps, { body, headers: type ? { "content-type": type } : {} }).then((answer) => [
        name,
        answer.status,
      ]);
    const magic = Buffer.concat([
      Buffer.from("k8s\0"),
      Buffer.from("0a0f0a0276311209436f6e6669674d617012050a030a0170", "hex"),
    ]);
    expect(await post("json", "application/json; charset=utf-8", '{"metadata":{"name":"json"}}')).toEqual([
      "json",
      201,
    ]);
    expect(await post("plain", undefined, '{"metadata":{"name":"plain"}}')).toEqual(["plain", 201]);
    expect(await post("yaml", "application/yaml", "metadata:\n  name: yaml\n")).toEqual(["yaml", 201]);
    expect(await post("protobuf", "application/vnd.kubernetes.protobuf", magic)).toEqual(["protobuf", 201]);
    expect(await post("xml", "text/xml", "<a/>")).toEqual(["xml", 415]);
    expect(await post("cut off", "application/json", '{"metadata":')).toEqual(["cut off", 400]);
    expect(await post("not UTF-8", "application/json", Buffer.from([0x7b, 0xff, 0x7d]))).toEqual(["not UTF-8", 400]);
    expect(await post("empty", "application/json", "")).toEqual(["empty", 400]);
  });

  it("passes on who the client says it is", async () => {
    const body = JSON.stringify({ metadata: { name: "signed" }, data: { a: "b" } });
    const headers = { "content-type": "application/json", "user-agent": "signer/v1 (linux)" };
    const answer = await ask("POST", configMaps, { body, headers });
    expect(json(answer)).toMatchObject({ metadata: { managedFields: [{ manager: "signer", operation: "Update" }] } });
  });

  it("refuses a body that is too large, and goes on", async () => {
    const body = Buffer.alloc(4 << 20, 0x20);
    const known = await ask("POST", configMaps, { body });
    expect(json(known)).toMatchObject({ code: 413, reason: "RequestEntityTooLarge" });
    const streamed = await ask("POST", configMaps, { body, headers: { "transfer-encoding": "chunked" } });
    expect(streamed.status).toBe(413);
    expect((await ask("GET", "/healthz")).status).toBe(200);
  });

  it("answers in YAML, gzip or not at all, as asked", async () => {
    const yaml = await ask("GET", `${configMaps}/kube-root-ca`, { headers: { accept: "application/yaml" } });
    expect(yaml.headers["content-type"]).toBe("application/yaml");
    expect(yaml.bytes.toString()).toContain("kind: Status");
    await ask("POST", configMaps, {
      body: JSON.stringify({ metadata: { name: "large" }, data: { text: "x".repeat(300_000) } }),
    });
    const packed = await ask("GET", `${configMaps}/large`, { headers: { "accept-encoding": "gzip" } });
    expect(packed.headers["content-encoding"]).toBe("gzip");
    expect(JSON.parse(gunzipSync(packed.bytes).toString())).toMatchObject({ metadata: { name: "large" } });
    const plain = await ask("GET", `${configMaps}/large`);
    expect(plain.headers["content-encoding"]).toBeUndefined();
    expect(json(plain)).toMatchObject({ metadata: { name: "large" } });
    const head = await ask("HEAD", "/version");
    expect({ status: head.status, length: head.bytes.length }).toEqual({ status: 200, length: 0 });
    expect((await ask("GET", configMaps, { headers: { accept: "text/html" } })).status).toBe(406);
  });

  it("gives each answer an id, the client's own if it has one", async () => {
    expect((await ask("GET", "/healthz")).headers["audit-id"]).toMatch(/^[0-9a-f-]{36}$/);
    expect((await ask("GET", "/healthz", { headers: { "audit-id": "mine-1" } })).headers["audit-id"]).toBe("mine-1");
  });

  it.each([
    ["GET", "/%", 400],
    ["OPTIONS", configMaps, 405],
    ["TRACE", "/", 405],
  ])("refuses %s %s", async (method, path, status) => {
    expect((await ask(method, path)).status).toBe(status);
  });

  it.each(["HTTP/1.1", "HTTP/2"])("streams a watch over %s, and ends it with its client", async (version) => {
    const path = `${configMaps}?watch=1&resourceVersion=0&fieldSelector=metadata.name%3Dw-${version.at(-1)}`;
    const before = signals.length;
    const { lines, close } = version === "HTTP/2" ? watch2(path) : watch1(path);
    while (signals.length === before) await new Promise((resolve) => setTimeout(resolve, 5));
    const signal = signals[before] as AbortSignal;
    expect(signal.aborted).toBe(false);
    await ask("POST", configMaps, { body: JSON.stringify({ metadata: { name: `w-${version.at(-1)}` } }) });
    expect(JSON.parse(await lines())).toMatchObject({
      type: "ADDED",
      object: { metadata: { name: `w-${version.at(-1)}` } },
    });
    await ask("DELETE", `${configMaps}/w-${version.at(-1)}`);
    expect(JSON.parse(await lines())).toMatchObject({ type: "DELETED" });
    close();
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  });

  it("is not disturbed by what is no TLS, or no HTTP", async () => {
    const socket = connect({ host: "127.0.0.1", port: served.port, ca: pki.ca, ...client });
    await new Promise((resolve) => socket.once("secureConnect", resolve));
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    socket.resume();
    socket.write("nonsense\r\n\r\n");
    await closed;
    expect((await ask("GET", "/healthz")).status).toBe(200);
  });

  it("says in one line that its port is taken", async () => {
    const error = await serveHttps(api.handler, options(served.port)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ServeError);
    expect(error).toMatchObject({
      code: "PORT_IN_USE",
      message: expect.stringContaining(`port ${served.port} on 127.0.0.1 is in use`),
    });
    await expect(serveHttps(api.handler, { ...options(0), host: "192.0.2.1" })).rejects.toMatchObject({
      code: "ADDRESS",
    });
  });
});

interface Lines {
  readonly lines: () => Promise<string>;
  readonly close: () => void;
}

function lineReader(stream: NodeJS.ReadableStream): () => Promise<string> {
  let text = "";
  const iterator = stream[Symbol.asyncIterator]();
  return async () => {
    while (!text.includes("\n")) text += String((await iterator.next()).value);
    const end = text.indexOf("\n");
    const line = text.slice(0, end);
    text = text.slice(end + 1);
    return line;
  };
}

function watch1(path: string): Lines {
  const request = https.request({ host: "127.0.0.1", port: served.port, path, ca: pki.ca, ...client, agent: false });
  request.on("error", () => {});
  const reader = new Promise<() => Promise<string>>((resolve) => {
    request.on("response", (response) => resolve(lineReader(response)));
  });
  request.end();
  return { lines: async () => (await reader)(), close: () => request.destroy() };
}

function watch2(path: string): Lines {
  const session = http2.connect(`https://127.0.0.1:${served.port}`, { ca: pki.ca, ...client });
  const stream = session.request({ ":path": path });
  const lines = lineReader(stream);
  return {
    lines,
    close: () => {
      stream.close();
      session.destroy();
    },
  };
}
