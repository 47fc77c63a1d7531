import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DataPlane, missingFor } from "../../src/dataplane/index.ts";
import { selfSigned } from "../../src/dataplane/self-signed.ts";
import type { ClientValidation, Filter, HostRoutes, Owner, RoutingModel, Server } from "../../src/routing/index.ts";
import { freePort } from "../../src/system/index.ts";
import { authority, type Shown } from "./authority.ts";
import { eventually } from "./cluster.ts";
import { startPlane } from "./plane.ts";

const owner: Owner = { object: { kind: "Gateway", namespace: "a", name: "web" }, field: "" };
const planes = [
  ["embedded", undefined],
  ["nginx", await missingFor("nginx")],
  ["haproxy", await missingFor("haproxy")],
] as const;
describe.each(planes)("certificates of clients on %s", (name, why) => {
  const stop = new AbortController();
  const backend = createServer((_request, response) => response.end("web"));
  const pair = selfSigned(Date.now(), ["web.example"]);
  let plane: DataPlane;
  let port = 0;
  let ours: Awaited<ReturnType<typeof authority>>;
  let theirs: Awaited<ReturnType<typeof authority>>;

  beforeAll(async () => {
    if (why !== undefined) return;
    [ours, theirs] = await Promise.all([authority("ours"), authority("theirs")]);
    backend.listen(0, "127.0.0.1");
    await once(backend, "listening");
    port = await freePort();
    plane = await startPlane(name, stop.signal);
  });
  afterAll(async () => {
    stop.abort();
    await plane?.stopped;
    backend.close();
    backend.closeAllConnections();
  });

  async function serve(clients: ClientValidation, filters: readonly Filter[] = []): Promise<void> {
    const rule = {
      id: "r",
      filters,
      backends: [{ pool: "web", weight: 1, filters: [], owner }],
      timeouts: {},
      owner,
    };
    const path = { type: "Prefix" as const, value: "" };
    const route = { id: "r", host: "web.example", path, headers: [], query: [], rule, owner };
    const routes: HostRoutes = { exact: new Map(), regex: [], prefix: new Map([["", [route]]]), longestPrefix: 0 };
    const hosts = { semantics: "Gateway" as const, exact: new Map([["web.example", routes]]), wildcard: new Map() };
    const secret = { kind: "Secret", namespace: "a", name: "web" };
    const certificates = new Map([["web.example", { hostname: "web.example", secret, version: "1", owner }]]);
    const server: Server = { kind: "http", hostname: "web.example", owner, hosts, tls: { certificates, clients } };
    const at = backend.address() as AddressInfo;
    const model: RoutingModel = {
      listeners: [
        { name: "web", port, bindPort: port, protocol: "HTTPS", servers: new Map([["web.example", server]]) },
      ],
      pools: new Map([
        [
          "web",
          {
            key: "web",
            service: { namespace: "a", name: "web" },
            port: "80",
            protocol: "http",
            endpoints: [{ address: "127.0.0.1", port: at.port, ready: true, owner }],
          },
        ],
      ]),
    };
    const { refused } = await plane.apply({ model, keyPair: () => pair });
    expect(refused).toEqual([]);
  }

  /** The status, or "closed": nobody answered at all. */
  async function ask(shown?: Shown, servername = "web.example"): Promise<number | "closed"> {
    const options = { host: "127.0.0.1", port, servername, rejectUnauthorized: false, agent: false, ...shown };
    const sent = request({ ...options, headers: { host: "web.example" } }).end();
    try {
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      response.resume();
      await once(response, "end");
      return response.statusCode ?? 0;
    } catch {
      return "closed";
    }
  }

  test.skipIf(why)("AllowValidOnly: no handshake without a good one, whatever name is asked for", async () => {
    await serve({ mode: "AllowValidOnly", authorities: ours.ca });
    expect(await ask(ours.good)).toBe(200);
    expect(await ask(ours.withdrawn)).toBe(200);
    expect(await ask()).toBe("closed");
    expect(await ask(theirs.good)).toBe("closed");
    expect(await ask(undefined, "")).toBe("closed");
    expect(await ask(undefined, "other.example")).toBe("closed");
    await serve({ mode: "AllowValidOnly", authorities: theirs.ca });
    await eventually("the old authority is trusted no more", async () => (await ask(ours.good)) === "closed");
    expect(await ask(theirs.good)).toBe(200);
  });

  test.skipIf(why)("revocation lists: who stands on one gets no handshake", async () => {
    await serve({ mode: "AllowValidOnly", authorities: ours.ca, revoked: ours.list });
    await eventually("a list counts", async () => (await ask(ours.withdrawn)) === "closed");
    expect(await ask(ours.good)).toBe(200);
    expect(await ask()).toBe("closed");
    await serve({ mode: "AllowValidOnly", authorities: ours.ca, revoked: "nonsense" });
    await eventually("what cannot be read lets nobody in", async () => (await ask(ours.good)) === "closed");
    expect(await ask()).toBe("closed");
  });

  test.skipIf(why)("Ask: the routes say who is served, and a list counts there too", async () => {
    const filter = { type: "ClientCertificate" as const, verify: "on" as const, depth: 1, pass: false };
    await serve({ mode: "Ask", authorities: ours.ca, revoked: ours.list }, [filter]);
    await eventually("the routes answer", async () => (await ask(ours.withdrawn)) === 400);
    expect(await ask(ours.good)).toBe(200);
    expect(await ask(theirs.good)).toBe(400);
    expect(await ask()).toBe(400);
  });

  test.skipIf(why)("AllowInsecureFallback: everyone is served", async () => {
    await serve({ mode: "AllowInsecureFallback", authorities: ours.ca });
    await eventually("nobody is sent away", async () => (await ask()) === 200);
    expect(await ask(ours.good)).toBe(200);
    expect(await ask(theirs.good)).toBe(200);
  });
});
