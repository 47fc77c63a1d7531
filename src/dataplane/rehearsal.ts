import { randomBytes } from "node:crypto";
import { createServer, request as requestClear, type RequestOptions } from "node:http";
import { request as requestSecure } from "node:https";
import type { AddressInfo } from "node:net";
import type { Listener, Owner, Pool, Route, RoutingModel, Server } from "../routing/index.ts";
import type { BoundListener } from "./dataplane.ts";

/** An endpoint of this process that says a word which nobody else knows. */
export interface Probe {
  readonly port: number;
  readonly word: string;
  close(): void;
}

/** The name that nobody asks for (RFC 6761 section 6.4). */
const host = "self-test.fairlead.invalid";
const path = "/self-test";
const poolKey = "fairlead.dev/self-test";
const owner: Owner = { object: { kind: "DataPlane", name: "self-test" }, field: "" };
/** Milliseconds for an answer: more than a packet that is lost takes to be sent again. */
const patience = 5_000;

export async function startProbe(): Promise<Probe> {
  const word = randomBytes(16).toString("hex");
  const server = createServer((asked, response) => {
    asked.resume().on("end", () => response.end(word));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return { port: (server.address() as AddressInfo).port, word, close: () => server.close().closeAllConnections() };
}

/**
 * A model as it is, on ports of its own, and in each listener for HTTP one more host that leads to the probe: what serves it has read every
 * route, and no endpoint of a user's hears of it.
 */
export function rehearsalOf(
  model: RoutingModel,
  probe: Probe,
): { readonly model: RoutingModel; readonly test: (bound: readonly BoundListener[]) => Promise<void> } {
  const used = new Set(model.listeners.map(({ port }) => port));
  let port = 0;
  const nextPort = (): number => {
    do port++;
    while (used.has(port));
    return port;
  };
  const listeners = model.listeners.map((listener): Listener => {
    const { bindPort: _bindPort, ...rest } = listener;
    const own = { ...rest, name: `rehearsal of ${listener.name}`, port: nextPort() };
    if (listener.protocol !== "HTTP" && listener.protocol !== "HTTPS") return own;
    return { ...own, servers: new Map([...listener.servers, [host, probeServer(listener)]]) };
  });
  const pool: Pool = {
    key: poolKey,
    service: { namespace: "", name: "self-test" },
    port: "80",
    protocol: "http",
    endpoints: [{ address: "127.0.0.1", port: probe.port, ready: true, owner }],
  };
  return {
    model: { listeners, pools: new Map([...model.pools, [poolKey, pool]]) },
    async test(bound) {
      const ports = new Map(bound.map((each) => [each.name, each]));
      for (const { name, protocol } of listeners) {
        const { port: at, error } = ports.get(name) ?? {};
        if (at === undefined) throw new Error(`${name}: ${error ?? "its port was not opened"}`);
        if (protocol !== "HTTP" && protocol !== "HTTPS") continue;
        const routed = await ask(protocol, at, path);
        if (routed !== `200 ${probe.word}`) throw new Error(`${name}: the self-test's route answers ${quoted(routed)}`);
        const other = await ask(protocol, at, "/");
        if (!other.startsWith("404 ")) throw new Error(`${name}: a path without a route answers ${quoted(other)}`);
      }
    },
  };
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 80));

function probeServer({ protocol }: Listener): Server {
  const route: Route = {
    id: poolKey,
    host,
    path: { type: "Exact", value: path },
    headers: [],
    query: [],
    rule: {
      id: poolKey,
      filters: [],
      backends: [{ pool: poolKey, weight: 1, filters: [], owner }],
      timeouts: {},
      owner,
    },
    owner,
  };
  const routes = { exact: new Map([[path, [route]]]), regex: [], prefix: new Map(), longestPrefix: 0 };
  return {
    kind: "http",
    hostname: host,
    owner,
    hosts: { semantics: "Gateway", exact: new Map([[host, routes]]), wildcard: new Map() },
    ...(protocol === "HTTPS" ? { tls: { certificates: new Map() } } : {}),
  };
}

function ask(protocol: "HTTP" | "HTTPS", port: number, target: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options: RequestOptions = { host: "127.0.0.1", port, path: target, agent: false, headers: { host } };
    const asked =
      protocol === "HTTP"
        ? requestClear(options)
        : // Which certificate it has for a name that no Secret is for is nobody's question.
          requestSecure({ ...options, servername: host, rejectUnauthorized: false });
    asked.setTimeout(patience, () => asked.destroy(new Error(`no answer in ${patience} ms`)));
    asked.on("error", reject);
    asked.on("response", (response) => {
      let text = "";
      response.on("data", (chunk) => (text += String(chunk).slice(0, 1_000)));
      response.on("error", reject);
      response.on("end", () => resolve(`${response.statusCode} ${text}`));
    });
    asked.end();
  });
}
