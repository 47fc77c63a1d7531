import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { createServer, type Server } from "node:https";
import { rootCertificates } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DataPlane, missingFor } from "../../src/dataplane/index.ts";
import type { BackendTls, Filter, HostRoutes, Owner, Pool, Route, RoutingModel } from "../../src/routing/index.ts";
import { freePort } from "../../src/system/index.ts";
import { selfSigned } from "./certificates.ts";
import { read, type Reply } from "./clients.ts";
import { eventually } from "./cluster.ts";
import { startPlane } from "./plane.ts";

const owner: Owner = { object: { kind: "Service", namespace: "a", name: "web" }, field: "" };
const planes = [
  ["embedded", undefined],
  ["haproxy", await missingFor("haproxy")],
  ["nginx", await missingFor("nginx")],
] as const;

describe.each(planes)("TLS to endpoints on %s", (name, why) => {
  const stop = new AbortController();
  const first = selfSigned(["web.example"]);
  const second = selfSigned(["web.example"]);
  const strangers = rootCertificates.slice(0, 20).join("\n");
  let server: Server;
  let plane: DataPlane;
  let port = 0;
  let backend = 0;

  beforeAll(async () => {
    if (why !== undefined) return;
    server = createServer({ cert: first["tls.crt"], key: first["tls.key"] }, (request, response) =>
      response.end("servername" in request.socket ? String(request.socket.servername) : ""),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const at = server.address();
    backend = typeof at === "object" && at ? at.port : 0;
    port = await freePort();
    plane = await startPlane(name, stop.signal);
  });
  afterAll(async () => {
    stop.abort();
    await plane?.stopped;
    server?.closeAllConnections();
    server?.close();
  });

  const poolOf = (key: string, tls: BackendTls): Pool => ({
    key,
    service: { namespace: "a", name: "web" },
    port: "443",
    protocol: "http",
    tls,
    endpoints: [{ address: "127.0.0.1", port: backend, ready: true, owner }],
  });

  /** One host for each kind of TLS: `KEY.test`. */
  async function serve(
    all: Readonly<Record<string, BackendTls>>,
    filters: readonly Filter[] = [],
  ): Promise<readonly string[]> {
    const exact = new Map<string, HostRoutes>();
    for (const key of Object.keys(all)) {
      const rule = {
        id: key,
        filters,
        backends: [{ pool: key, weight: 1, filters: [], owner }],
        timeouts: {},
        owner,
      };
      const path = { type: "Prefix" as const, value: "" };
      const route: Route = { id: key, host: `${key}.test`, path, headers: [], query: [], rule, owner };
      exact.set(`${key}.test`, { exact: new Map(), regex: [], prefix: new Map([["", [route]]]), longestPrefix: 0 });
    }
    const hosts = { semantics: "Gateway" as const, exact, wildcard: new Map() };
    const servers = new Map([["", { kind: "http" as const, hostname: "", hosts, owner }]]);
    const pools = new Map(Object.entries(all).map(([key, tls]) => [key, poolOf(key, tls)]));
    const model: RoutingModel = {
      listeners: [{ name: "web", port, bindPort: port, protocol: "HTTP", servers }],
      pools,
    };
    const { refused } = await plane.apply({ model, keyPair: () => undefined });
    return refused.map(({ route }) => route);
  }

  async function ask(key: string): Promise<Reply> {
    const sent = request({ host: "127.0.0.1", port, headers: { host: `${key}.test` }, agent: false }).end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    return read(response);
  }

  const trusting = (authorities: string, serverName = "web.example"): BackendTls => ({
    serverName,
    subjectAltNames: [],
    authorities,
  });

  test.skipIf(why)("only who is vouched for gets requests, under the name that is asked for", async () => {
    const refused = await serve({
      good: trusting(first["tls.crt"]),
      stranger: trusting(second["tls.crt"]),
      machine: trusting("System"),
      name: trusting(first["tls.crt"], "other.example"),
      nobody: trusting("no certificate at all"),
      anyone: { serverName: "web.example", subjectAltNames: [], authorities: "", unverified: true },
    });
    expect(refused).toEqual([]);
    expect(await ask("good")).toMatchObject({ status: 200, body: "web.example" });
    expect(await ask("anyone")).toMatchObject({ status: 200, body: "web.example" });
    for (const key of ["stranger", "machine", "name", "nobody"]) {
      const { status } = await ask(key);
      expect([key, status === 502 || status === 503]).toEqual([key, true]);
    }
  });

  test.skipIf(why)("other authorities are trusted from then on, and the old ones no more", async () => {
    await serve({ web: trusting(first["tls.crt"]) });
    expect((await ask("web")).status).toBe(200);
    await serve({ web: trusting(second["tls.crt"]) });
    await eventually("who is not vouched for gets nothing", async () => (await ask("web")).status !== 200);
    server.setSecureContext({ cert: second["tls.crt"], key: second["tls.key"] });
    await eventually("the endpoint shows its new certificate", async () => (await ask("web")).status === 200);
    // More than fits into one command of HAProxy's.
    await serve({ web: trusting(strangers) });
    await eventually("who is not vouched for gets nothing", async () => (await ask("web")).status !== 200);
    await serve({ web: trusting(`${strangers}\n${second["tls.crt"]}`) });
    await eventually("it is one of many", async () => (await ask("web")).status === 200);
  });

  test.skipIf(why)("who authorizes requests is believed only when somebody vouches for them", async () => {
    const { "tls.crt": trusted } = selfSigned(["web.example"]);
    const asked: Filter = {
      type: "ExternalAuth",
      pool: "stranger",
      host: "",
      path: ["/"],
      signinParameter: "rd",
      responseHeaders: [],
    };
    const anyone = { serverName: "web.example", subjectAltNames: [], authorities: "", unverified: true };
    await serve({ web: anyone, stranger: trusting(trusted) }, [asked]);
    expect((await ask("web")).status).toBeGreaterThanOrEqual(500);
  });

  test.skipIf(why)("what cannot be checked is refused, and sent nothing", async () => {
    server.setSecureContext({ cert: first["tls.crt"], key: first["tls.key"] });
    const uri = { type: "URI", value: "spiffe://a/b" } as const;
    const fitting = { type: "Hostname", value: "web.example" } as const;
    const other = { type: "Hostname", value: "other.example" } as const;
    const all = { uri: [uri], fitting: [fitting], other: [other], one: [uri, fitting] };
    const own = trusting(first["tls.crt"]);
    const asked = Object.entries(all).map(([key, names]) => [key, { ...own, subjectAltNames: names }] as const);
    const refused = await serve({ ...Object.fromEntries(asked), plain: own });
    const can = plane.capabilities.has("BackendTLSPolicySANValidation");
    expect([...refused].sort()).toEqual(can ? [] : Object.keys(all).sort());
    let reached = 0;
    const count = (): void => void reached++;
    server.on("request", count);
    const answered: string[] = [];
    for (const key of Object.keys(all)) if ((await ask(key)).status === 200) answered.push(key);
    server.off("request", count);
    expect(answered).toEqual(can ? ["fitting", "one"] : []);
    expect(reached).toBe(answered.length);
    // What asks for no more than the one name is served beside it.
    expect((await ask("plain")).status).toBe(200);
  });
});
