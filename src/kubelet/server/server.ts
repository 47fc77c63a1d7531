import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { type Duplex, Readable } from "node:stream";
import type { Client } from "../../client/index.ts";
import { type Clock, createMetrics, type Logger, type Metrics, metricsType, whenAborted } from "../../system/index.ts";
import { readLog } from "../logs/read-log.ts";
import type { PodStore } from "../pods/pod-store.ts";
import { viewOf } from "../pods/pod-view.ts";
import { probeFigures } from "../probes/probe-figures.ts";
import type { ProbeCount } from "../probes/prober.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { createStats } from "../stats/stats.ts";
import { addVolumeFigures, type MountedClaim } from "../stats/volume-figures.ts";
import { Refusal } from "../streaming/refusal.ts";
import { createAccess } from "./access.ts";
import { createStreamedRequests } from "./streamed-requests.ts";
import { chooseAttempt, parseLogQuery, RequestError } from "./log-query.ts";
import { nodeLogs } from "./node-logs.ts";

/** Key and certificate in PEM; `ca` signs the clients. */
export interface ServerCredentials {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export interface KubeletServerOptions {
  readonly nodeName: string;
  readonly address: string;
  /** 0 for any. */
  readonly port: number;
  readonly credentials: ServerCredentials;
  readonly pods: PodStore;
  readonly runtime: Runtime;
  /** What the kubelet tells of itself, and of its probes. */
  readonly metrics: Metrics;
  readonly probes: () => readonly ProbeCount[];
  /** Claims that pods here have mounted. */
  readonly mounted: () => readonly MountedClaim[];
  /** Is asked who a client is and what it may. */
  readonly client: Pick<Client, "create">;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface KubeletServer {
  readonly port: number;
  readonly stopped: Promise<void>;
}

/** Milliseconds that a stream may be silent, as upstream's streamingConnectionIdleTimeout. */
const idleMs = 4 * 3_600_000;

/** Where the node's own logs are. */
const logDirectory = "/var/log";

/**
 * The kubelet's HTTPS API: `/containerLogs/NAMESPACE/POD/CONTAINER`, `/exec`, `/attach`, `/portForward`,
 * `/stats/summary`, `/metrics`, `/metrics/cadvisor`, `/metrics/probes`, `/metrics/resource`, `/pods`, `/logs/`, `/healthz`. `createAccess` says who
 * may ask. Settles when it listens; rejects when it cannot.
 */
export async function startKubeletServer(options: KubeletServerOptions): Promise<KubeletServer> {
  const { address, credentials, pods, runtime, signal, clock } = options;
  const checkAllowed = createAccess(options);

  const logs = async (path: string[], query: URLSearchParams, response: ServerResponse): Promise<void> => {
    const [namespace, name, container] = path.map(decodeURIComponent);
    const wanted = parseLogQuery(query, clock.now());
    const pod = pods.all().find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
    if (!pod || container === undefined) throw new RequestError(404, `pod "${name}" does not exist`);
    const uid = pod.metadata.uid ?? "";
    const record = chooseAttempt(pods.get(uid) ?? pod, container, viewOf(await runtime.list(uid)), wanted.previous);
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const chunks = readLog(record.logPath, {
      ...wanted,
      follow: wanted.follow && record.state === "running",
      isOpen: async () => {
        const { containers } = await runtime.list(uid);
        return containers.some(({ id, state }) => id === record.id && state === "running");
      },
      signal: AbortSignal.any([signal, gone.signal]),
      clock,
    });
    response.writeHead(200, { "content-type": "text/plain" });
    response.flushHeaders();
    await pipeline(Readable.from(chunks, { highWaterMark: 1 }), response);
  };

  const systemLogs = async (path: string, response: ServerResponse): Promise<void> => {
    const found =
      path === "/logs"
        ? ({ kind: "directory" } as const)
        : await nodeLogs(logDirectory, decoded(path.slice("/logs/".length)));
    if (!found) throw new RequestError(404, "404 page not found");
    if (found.kind === "directory") {
      response.writeHead(301, { location: `${path}/` });
      response.end();
    } else if (found.kind === "page") {
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(found.html);
    } else {
      response.writeHead(200, { "content-type": "text/plain; charset=utf-8", "content-length": found.size });
      await pipeline(found.open(), response);
    }
  };

  const streamed = createStreamedRequests({ pods, runtime });
  const stats = createStats({ nodeName: options.nodeName, runtime, pods: () => pods.all(), clock });
  /** By path, in Prometheus' text. */
  const figures: Readonly<Record<string, () => Promise<string>>> = {
    "/metrics": async () => {
      const volumes = createMetrics({ process: false });
      addVolumeFigures(volumes, options.mounted());
      return (await options.metrics.text()) + (await volumes.text());
    },
    "/metrics/cadvisor": () => stats.containerMetrics(),
    "/metrics/probes": () => probeFigures(options.probes()),
    "/metrics/resource": () => stats.resourceMetrics(),
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    await checkAllowed(request);
    if (request.method !== "GET" && request.method !== "HEAD") throw new RequestError(405, "Method Not Allowed");
    const url = new URL(request.url ?? "/", "https://kubelet");
    const [, first, ...rest] = url.pathname.split("/");
    if (first === "healthz") answer(response, 200, "ok");
    else if (first === "pods") {
      const list = { kind: "PodList", apiVersion: "v1", metadata: {}, items: pods.all() };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(list));
    } else if (url.pathname === "/stats/summary") {
      const summary = JSON.stringify(await stats.summary());
      response.setHeader("content-type", "application/json");
      response.end(summary);
    } else if (Object.hasOwn(figures, url.pathname)) {
      const text = await figures[url.pathname]?.();
      response.setHeader("content-type", metricsType);
      response.end(text);
    } else if (first === "containerLogs" && rest.length === 3) await logs(rest, url.searchParams, response);
    else if (first === "logs") await systemLogs(url.pathname, response);
    else if (streamed.isFor(url)) throw new RequestError(400, "Upgrade request required");
    else throw new RequestError(404, "404 page not found");
  };

  // Clients may show a token in place of a certificate.
  const tls = { ...credentials, requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.2" } as const;
  const server = createServer(tls, (request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else if (error instanceof RequestError) answer(response, error.status, error.message);
      else {
        options.log.warn({ error: String(error) }, "a request failed");
        answer(response, 500, "internal error");
      }
    });
  });
  const upgraded = new Set<Duplex>();
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    upgraded.add(socket);
    socket.once("close", () => upgraded.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.setTimeout(idleMs, () => socket.destroy());
    const upgrade = async (): Promise<void> => {
      await checkAllowed(request);
      const url = new URL(request.url ?? "/", "https://kubelet");
      if (!streamed.isFor(url)) throw new RequestError(404, "404 page not found");
      await streamed.serve(url, request, socket, head);
    };
    upgrade().catch((error: unknown) => {
      if (error instanceof RequestError || error instanceof Refusal) return refuse(socket, error);
      // Who goes while its streams are opened ends them with an error as well.
      if (!socket.destroyed) options.log.warn({ error: String(error) }, "a stream failed");
      socket.destroy();
    });
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, address, resolve);
  });
  const stopped = new Promise<void>((resolve) => {
    whenAborted(signal, () => {
      server.close(() => resolve());
      server.closeAllConnections();
      for (const socket of upgraded) socket.destroy();
    });
  });
  return { port: (server.address() as AddressInfo).port, stopped };
}

/** Throws RequestError for a path that is badly encoded. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new RequestError(400, "invalid URL escape");
  }
}

function refuse(socket: Socket, { status, message, headers = {} }: RequestError | Refusal): void {
  const all = {
    "content-type": "text/plain",
    "content-length": Buffer.byteLength(message),
    connection: "close",
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("\r\n")}\r\n\r\n${message}`);
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain" });
  response.end(`${text}\n`);
}
