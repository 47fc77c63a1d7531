import { createServer } from "node:http";
import { type Metrics, metricsType } from "../system/index.ts";
import { CliError } from "./errors.ts";

export interface StatusEndpointOptions {
  /** The option that named the address, for errors. */
  readonly option: string;
  /** `IP:PORT`, IPv6 in brackets. */
  readonly at: string;
  /** Why this process does not do its whole work yet; `undefined` when it does. */
  readonly unready: () => string | undefined;
  readonly metrics: Metrics;
  /** What is at other paths. */
  readonly more?: (path: string) => [status: number, body: string, type?: string] | undefined;
}

export interface StatusEndpoint {
  close(): void;
}

/** Connections at a time. */
const most = 64;

/**
 * Opens the port for probes and Prometheus: `/healthz` and `/livez` answer as long as the process does, `/readyz` 503 with the
 * reason until it does its work, `/metrics` the figures. Throws CliError USAGE for what is no address, PORT_IN_USE when it cannot be had.
 */
export async function startStatusEndpoint(options: StatusEndpointOptions): Promise<StatusEndpoint> {
  const { option, at, unready, metrics } = options;
  const { address, port } = addressAndPort(option, at);
  const answer = async (path: string): Promise<[status: number, body: string, type?: string]> => {
    if (path === "/healthz" || path === "/livez") return [200, "ok\n"];
    if (path === "/readyz") {
      const why = unready();
      return why === undefined ? [200, "ok\n"] : [503, `${why}\n`];
    }
    if (path === "/metrics") return [200, await metrics.text(), metricsType];
    const other = options.more?.(path);
    if (other) return other;
    return [404, "there are /healthz, /livez, /readyz and /metrics\n"];
  };
  const server = createServer((request, response) => {
    const [path = "/"] = (request.url ?? "").split("?", 1);
    const isRead = request.method === "GET" || request.method === "HEAD";
    const answered = isRead ? answer(path) : Promise.resolve([405, "only GET and HEAD\n"] as [number, string]);
    void answered
      .catch((error: unknown): [number, string] => [500, `${String(error)}\n`])
      .then(([status, body, type = "text/plain; charset=utf-8"]) => {
        response.writeHead(status, { "content-type": type, "x-content-type-options": "nosniff" });
        response.end(request.method === "HEAD" ? undefined : body);
      });
  });
  server.maxConnections = most;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(new CliError("PORT_IN_USE", `${option} ${at}: ${error.code ?? error.message}`)),
    );
    server.listen(port, address, resolve);
  });
  return { close: () => server.close().closeAllConnections() };
}

function addressAndPort(option: string, text: string): { address: string; port: number } {
  const [, address = "", digits = ""] = /^\[?([0-9a-fA-F:.]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (!address || port > 65_535) throw new CliError("USAGE", `${option} ${JSON.stringify(text)} is not IP:PORT`);
  return { address, port };
}
