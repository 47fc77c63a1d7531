// Values of objects reach nginx as values: none of them becomes configuration, Lua, or another header field.
import { describe, expect, test } from "vitest";
import { type DataPlane, startNginx } from "../../src/dataplane/index.ts";
import { findNginx } from "../../src/dataplane/nginx/program.ts";
import type { Filter, Listener, Pool, Route, RoutingModel } from "../../src/routing/index.ts";
import { silentLogger, systemCommands } from "../../src/system/index.ts";
import { sendBytes } from "./clients.ts";
import { fixture } from "./suite.ts";

const why = await findNginx(systemCommands).then(
  () => undefined,
  (error: Error) => error.message,
);

const hostile = [
  '"; } server { listen 9; } #',
  "$host ${request_uri} $fl_pool",
  "]] os.execute('true') --[[",
  "a\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1\r\n",
  "%0d%0aX-Evil:%201",
  "\u0001full",
  "3:abc,",
  "é 𝒳 \\",
  "\0",
  "x".repeat(5000),
];

const owner = { object: { kind: "HTTPRoute", namespace: "n", name: "r" }, field: "spec" };

function modelOf(port: number, routes: readonly Route[]): RoutingModel {
  const pools = new Map<string, Pool>();
  for (const { rule } of routes)
    for (const { pool = "" } of rule.backends)
      pools.set(pool, {
        key: pool,
        service: { namespace: "n", name: "s" },
        port: "80",
        protocol: "http",
        endpoints: [{ address: "127.0.0.1", port, ready: true, owner }],
      });
  const prefix = new Map(routes.map((route) => [route.path?.value ?? "", [route]]));
  const hosts = { exact: new Map(), regex: [], prefix, longestPrefix: 8192 };
  const listener: Listener = {
    name: "http\n;",
    port: 0,
    protocol: "HTTP",
    servers: new Map([
      [
        "",
        {
          hostname: "",
          owner,
          kind: "http",
          hosts: { semantics: "Gateway", exact: new Map(), wildcard: new Map(), any: hosts },
        },
      ],
    ]),
  };
  return { listeners: [listener], pools };
}

function routeOf(id: string, path: string, filters: readonly Filter[], more: Partial<Route> = {}): Route {
  const rule = { id, filters, backends: [{ pool: `pool ${id}`, weight: 1, filters: [], owner }], timeouts: {}, owner };
  return { id, host: "", path: { type: "Prefix", value: path }, headers: [], query: [], rule, owner, ...more };
}

describe.skipIf(why)(`hostile values${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  const made = fixture();

  async function withRoutes(routes: readonly Route[], work: (port: number) => Promise<void>): Promise<void> {
    const backend = await made.backend("a");
    const stop = new AbortController();
    const dataplane: DataPlane = startNginx({
      address: "127.0.0.1",
      workers: 1,
      signal: stop.signal,
      log: silentLogger,
    });
    try {
      await dataplane.apply({ model: modelOf(backend.port, routes), keyPair: () => undefined });
      await work(dataplane.listeners()[0]?.port ?? 0);
    } finally {
      stop.abort();
      await dataplane.stopped;
    }
  }

  const get = (port: number, path: string): Promise<string> =>
    sendBytes(port, `GET ${path} HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n`, 5000);

  test("in header fields, redirects, rewrites, names of pools, conditions", async () => {
    const routes = hostile.flatMap((value, i) => [
      routeOf(`h${i}`, `/h${i}`, [
        { type: "RequestHeaders", changes: { set: [{ name: "x-set", value }], add: [], remove: [] } },
        { type: "ResponseHeaders", changes: { set: [{ name: "x-answer", value }], add: [], remove: [] } },
      ]),
      routeOf(`${value}${i}`, `/p${i}`, [{ type: "Rewrite", hostname: "other.test" }]),
      routeOf(`l${i}`, `/l${i}`, [
        { type: "Redirect", redirect: { status: 302, hostname: "y.test", path: { type: "ReplaceFullPath", value } } },
      ]),
      routeOf(`c${i}`, `/c${i}`, [], { headers: [{ type: "Exact", name: "x-wanted", value }] }),
    ]);
    await withRoutes(routes, async (port) => {
      for (const [i] of hostile.entries()) {
        const changed = await get(port, `/h${i}/x`);
        expect(changed).toMatch(/^HTTP\/1\.1 200 /);
        expect(changed.slice(0, changed.indexOf("\r\n\r\n"))).not.toMatch(/^x-evil/im);
        expect(changed).not.toContain('"x-evil"');
        expect(changed).toContain(`"url":"/h${i}/x"`);
        const pool = await get(port, `/p${i}/x`);
        expect(pool).toMatch(/^HTTP\/1\.1 200 /);
        expect(pool).toContain('"host":"other.test"');
        const redirect = await get(port, `/l${i}/x`);
        expect(redirect).toMatch(/^HTTP\/1\.1 302 /);
        expect(redirect.match(/^HTTP\//gm)).toHaveLength(1);
        expect(redirect.slice(0, redirect.indexOf("\r\n\r\n"))).not.toMatch(/^x-evil/im);
        expect(await get(port, `/c${i}/x`)).toMatch(/^HTTP\/1\.1 404 /);
      }
    });
  });

  test("a message that is refused is decided on by no route", async () => {
    const changes = { set: [{ name: "x-set", value: "1" }], add: [], remove: [] };
    await withRoutes([routeOf("all", "", [{ type: "RequestHeaders", changes }])], async (port) => {
      for (const bytes of [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /\u0001 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(70_000)}\r\n\r\n`,
      ]) {
        const answer = await sendBytes(port, bytes, 5000);
        expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
        expect(answer).toContain("Request ");
      }
    });
  });

  test("in requests: no path reaches what is inside", async () => {
    await withRoutes([routeOf("all", "", [])], async (port) => {
      for (const name of ["full", "answer", "page", "h2c", "mirrored", "mirror/0"])
        for (const path of [`/%01${name}`, `/\u0001${name}`, `/x/../%01${name}`, `//%01${name}`])
          expect(await get(port, path)).toMatch(/^HTTP\/1\.1 40[04] /);
      expect(await get(port, "/full?a=%01")).toContain('"url":"/full?a=%01"');
    });
  });
});
