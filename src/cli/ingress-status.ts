import { createServer, type Server } from "node:http";
import { type Metrics, metricsType } from "../system/index.ts";

export interface IngressStatusOptions {
  readonly address: string;
  readonly port: number;
  /** Why not every route is served; `undefined` when it is. */
  readonly unserved: () => string | undefined;
  readonly metrics: Metrics;
}

/** Connections at a time. */
const most = 64;

/**
 * Opens the port for probes and Prometheus: `/healthz` and `/livez` answer as long as the process does, `/readyz` 503 with the
 * reason until every known route is served, `/metrics` the figures. Rejects with the system's error when the port is taken.
 */
export function startIngressStatus(options: IngressStatusOptions): Promise<{ close(): void }> {
  const { unserved, metrics } = options;
  const answer = async (path: string): Promise<[status: number, body: string, type?: string]> => {
    if (path === "/healthz" || path === "/livez") return [200, "ok\n"];
    if (path === "/readyz") {
      const why = unserved();
      return why === undefined ? [200, "ok\n"] : [503, `${why}\n`];
    }
    if (path === "/metrics") return [200, await metrics.text(), metricsType];
    return [404, "there are /healthz, /livez, /readyz and /metrics\n"];
  };
  const server: Server = createServer((request, response) => {
    const [path = "/"] = (request.url ?? "").split("?", 1);
    void answer(path)
      .catch((error: unknown): [number, string] => [500, `${String(error)}\n`])
      .then(([status, body, type = "text/plain; charset=utf-8"]) => {
        response.writeHead(status, { "content-type": type, "x-content-type-options": "nosniff" });
        response.end(request.method === "HEAD" ? undefined : body);
      });
  });
  server.maxConnections = most;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.address, () => resolve({ close: () => server.close().closeAllConnections() }));
  });
}
