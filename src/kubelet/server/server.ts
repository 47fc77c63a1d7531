import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Clock, Logger } from "../../system/index.ts";
import { readLog } from "../logs/read-log.ts";
import type { PodStore } from "../pods/pod-store.ts";
import { viewOf } from "../pods/pod-view.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { chooseAttempt, parseLogQuery, RequestError } from "./log-query.ts";

/** Key and certificate in PEM; `ca` signs the clients. */
export interface ServerCredentials {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export interface KubeletServerOptions {
  readonly address: string;
  /** 0 for any. */
  readonly port: number;
  readonly credentials: ServerCredentials;
  readonly pods: PodStore;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface KubeletServer {
  readonly port: number;
  readonly stopped: Promise<void>;
}

/** Groups (O of the client certificate) and names (CN) that may ask; everyone else in the cluster may not read all logs. */
const groups = ["system:masters", "system:kubelet-api-admin"];
const names = ["kube-apiserver", "kube-apiserver-kubelet-client"];

/**
 * The kubelet's HTTPS API: `/containerLogs/NAMESPACE/POD/CONTAINER`, `/pods`, `/healthz`. A client needs a certificate
 * of the cluster's CA. Settles when it listens; rejects when it cannot.
 */
export async function startKubeletServer(options: KubeletServerOptions): Promise<KubeletServer> {
  const { address, credentials, pods, runtime, signal, clock } = options;

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

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!isAllowed(request.socket as TLSSocket))
      throw new RequestError(403, "Forbidden: this client may not ask the kubelet");
    if (request.method !== "GET" && request.method !== "HEAD") throw new RequestError(405, "Method Not Allowed");
    const url = new URL(request.url ?? "/", "https://kubelet");
    const [, first, ...rest] = url.pathname.split("/");
    if (first === "healthz") answer(response, 200, "ok");
    else if (first === "pods") {
      const list = { kind: "PodList", apiVersion: "v1", metadata: {}, items: pods.all() };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(list));
    } else if (first === "containerLogs" && rest.length === 3) await logs(rest, url.searchParams, response);
    else throw new RequestError(404, "404 page not found");
  };

  const tls = { ...credentials, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.2" } as const;
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
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, address, resolve);
  });
  const stopped = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  });
  return { port: (server.address() as AddressInfo).port, stopped };
}

function isAllowed(socket: TLSSocket): boolean {
  const { O: organizations = [], CN: name } = socket.getPeerCertificate().subject ?? {};
  const own = Array.isArray(organizations) ? organizations : [organizations];
  return own.some((group) => groups.includes(group)) || (typeof name === "string" && names.includes(name));
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain" });
  response.end(`${text}\n`);
}
