import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { resources } from "../kube/index.ts";
import { type CommandRunner, FakeClock } from "../system/index.ts";
import type { ClientConfig, Credentials } from "./config.ts";
import { createHttpClient } from "./http.ts";

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

type Answer = (request: IncomingMessage & { body: string }, response: ServerResponse) => void;

async function serve(answer: Answer, credentials: Credentials = {}): Promise<ClientConfig> {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => answer(Object.assign(request, { body: Buffer.concat(chunks).toString() }), response));
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  return { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}/base`, credentials };
}

const json = (response: ServerResponse, code: number, body: object) => {
  response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
};
const name = { namespace: "a", name: "x" };
const map = { apiVersion: "v1", kind: "ConfigMap", metadata: { ...name, resourceVersion: "5" } };

test("paths, parameters, media types and bodies", async () => {
  const seen: string[] = [];
  const config = await serve((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers["content-type"] ?? ""} ${request.body}`.trim());
    json(
      response,
      200,
      request.method === "GET"
        ? { items: [{ metadata: name }], metadata: { resourceVersion: "9", continue: "c" } }
        : map,
    );
  });
  const client = createHttpClient(config);
  const list = await client.list(resources.ConfigMap, { namespace: "a", labelSelector: "a in (b,c)", limit: 2 });
  expect(list).toEqual({
    items: [{ apiVersion: "v1", kind: "ConfigMap", metadata: name }],
    resourceVersion: "9",
    continue: "c",
  });
  await client.create(resources.ConfigMap, { metadata: name }, { dryRun: true });
  await client.updateStatus(resources.Pod, { ...map, spec: { containers: [] } }, { fieldManager: "me" });
  await client.patch(resources.ConfigMap, name, { type: "strategic", body: { data: { k: "ä" } } });
  await client.delete(resources.ConfigMap, name, { gracePeriodSeconds: 0, preconditions: { uid: "u" } });
  expect(seen).toEqual([
    "GET /base/api/v1/namespaces/a/configmaps?labelSelector=a+in+%28b%2Cc%29&limit=2",
    'POST /base/api/v1/namespaces/a/configmaps?fieldManager=fairlead&dryRun=All application/json {"metadata":{"namespace":"a","name":"x"},"apiVersion":"v1","kind":"ConfigMap"}',
    'PUT /base/api/v1/namespaces/a/pods/x/status?fieldManager=me application/json {"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"a","name":"x","resourceVersion":"5"},"spec":{"containers":[]}}',
    'PATCH /base/api/v1/namespaces/a/configmaps/x?fieldManager=fairlead application/strategic-merge-patch+json {"data":{"k":"ä"}}',
    'DELETE /base/api/v1/namespaces/a/configmaps/x application/json {"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0,"preconditions":{"uid":"u"}}',
  ]);
});

test("a Status comes as StatusError, anything else too; a server that is away as ClientError", async () => {
  const config = await serve((request, response) => {
    if (request.url?.endsWith("/x"))
      json(response, 409, { kind: "Status", reason: "Conflict", message: "no", code: 409 });
    else response.writeHead(502).end("bad gateway");
  });
  const client = createHttpClient(config);
  await expect(client.get(resources.ConfigMap, name)).rejects.toMatchObject({ reason: "Conflict", code: 409 });
  await expect(client.get(resources.ConfigMap, { ...name, name: "y" })).rejects.toMatchObject({
    code: 502,
    message: expect.stringContaining("bad gateway") as string,
  });
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve));
  await expect(client.get(resources.ConfigMap, name)).rejects.toMatchObject({
    name: "ClientError",
    code: "UNREACHABLE",
  });
});

test("a watch brings events, ends with the signal, and closes its connection", async () => {
  let closed: (value?: unknown) => void = () => {};
  const gone = new Promise((resolve) => (closed = resolve));
  let url = "";
  const config = await serve((request, response) => {
    url = request.url ?? "";
    response.on("close", closed);
    const text = `${JSON.stringify({ type: "ADDED", object: { ...map, data: { k: "😀" } } })}\n${JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: "7", annotations: { "k8s.io/initial-events-end": "true" } } } })}\n`;
    const bytes = Buffer.from(text);
    const cut = bytes.indexOf(0xf0) + 2;
    response.write(bytes.subarray(0, cut));
    setImmediate(() => response.write(bytes.subarray(cut)));
  });
  const stop = new AbortController();
  const events: unknown[] = [];
  for await (const event of createHttpClient(config).watch(resources.ConfigMap, {
    sendInitialEvents: true,
    signal: stop.signal,
  })) {
    events.push(event);
    if (events.length === 2) stop.abort();
  }
  expect(events).toEqual([
    { type: "ADDED", object: { ...map, data: { k: "😀" } } },
    { type: "BOOKMARK", resourceVersion: "7", initial: true },
  ]);
  expect(url).toBe(
    "/base/api/v1/configmaps?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
  );
  await gone;
});

test("an ERROR event, a cut event and an abort before the answer", async () => {
  let mode = 0;
  const config = await serve((_request, response) => {
    if (mode === 0) response.end(`{"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}}\n`);
    if (mode === 1) response.end(`{"type":"ADDED","obj`);
  });
  const client = createHttpClient(config);
  const drain = async (signal = new AbortController().signal) => {
    for await (const _ of client.watch(resources.ConfigMap, { resourceVersion: "1", signal }));
  };
  await expect(drain()).rejects.toMatchObject({ reason: "Expired" });
  mode = 1;
  await expect(drain()).rejects.toMatchObject({ code: "PROTOCOL" });
  mode = 2;
  const stop = new AbortController();
  setImmediate(() => stop.abort());
  await drain(stop.signal);
});

test("429 with Retry-After waits and asks again", async () => {
  let asked = 0;
  const config = await serve((_request, response) => {
    if (asked++ === 0) response.writeHead(429, { "retry-after": "3" }).end();
    else json(response, 200, map);
  });
  const clock = new FakeClock();
  const got = createHttpClient(config, { clock }).get(resources.ConfigMap, name);
  const tick = setInterval(() => void clock.advance(1000), 5);
  expect((await got).metadata.name).toBe("x");
  clearInterval(tick);
  expect(asked).toBe(2);
});

test("an exec plugin is asked once, and again when its token is refused", async () => {
  const tokens: (string | undefined)[] = [];
  const config = await serve(
    (request, response) => {
      tokens.push(request.headers.authorization);
      if (request.headers.authorization === "Bearer t1")
        json(response, 401, { kind: "Status", reason: "Unauthorized", code: 401 });
      else json(response, 200, map);
    },
    {
      exec: {
        apiVersion: "client.authentication.k8s.io/v1",
        command: "login",
        args: [],
        env: {},
        provideClusterInfo: false,
      },
    },
  );
  let runs = 0;
  const commands: CommandRunner = {
    run: async () => ({ code: 0, stdout: JSON.stringify({ status: { token: `t${++runs}` } }), stderr: "" }),
  };
  const client = createHttpClient(config, { commands });
  await client.get(resources.ConfigMap, name);
  await client.get(resources.ConfigMap, name);
  expect(tokens).toEqual(["Bearer t1", "Bearer t2", "Bearer t2"]);
});

test("an exec plugin that fails says so", async () => {
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command: "login",
    args: [],
    env: {},
    installHint: "get it there",
    provideClusterInfo: false,
  };
  const config = await serve((_request, response) => json(response, 200, map), { exec });
  const commands: CommandRunner = { run: async () => ({ code: 3, stdout: "", stderr: "no network" }) };
  const got = createHttpClient(config, { commands }).get(resources.ConfigMap, name);
  await expect(got).rejects.toThrow("the exec plugin login ended with code 3: no network\nget it there");
});
