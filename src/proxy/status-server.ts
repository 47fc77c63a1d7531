import { metricsType, type Clock, type Logger, type Metrics } from "../system/index.ts";
import type { ProxyMode } from "./backend.ts";
import type { ProxyFigures } from "./figures.ts";
import { openHttpServer, type Answer } from "./http-server.ts";
import type { Health } from "./progress.ts";
import { createListener } from "./userspace/listener.ts";

export interface Where {
  readonly address: string;
  readonly port: number;
}

/** Where a proxy tells of itself: kube-proxy's are 127.0.0.1:10249 and 0.0.0.0:10256. */
export interface StatusPorts {
  /** `/metrics`, `/proxyMode` and `/healthz`. */
  readonly metrics?: Where;
  /** `/healthz`, `/livez` and `/readyz`, for cloud load balancers and probes. */
  readonly health?: Where;
}

export interface StatusOptions {
  readonly ports: StatusPorts;
  readonly mode: () => ProxyMode;
  readonly metrics: Metrics;
  readonly figures: ProxyFigures;
  readonly health: () => Health;
  /** Why Services are not served yet; undefined when they are. */
  readonly unready: () => string | undefined;
  /** Sends a packet through a Service of the proxy's own: why it did not come through; undefined when it did. */
  readonly probeDatapath: () => Promise<string | undefined>;
  /** False while the node is on its way out: new connections should go elsewhere (KEP-3836). */
  readonly nodeEligible: () => boolean;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Serves both ports until the signal aborts. One that is taken is told in the log and tried again; the proxy works without. */
export function serveStatus(options: StatusOptions): void {
  const { ports, signal, clock, log } = options;
  const serve = (
    where: Where | undefined,
    ask: (path: string, query: URLSearchParams) => Answer | Promise<Answer>,
  ): void => {
    if (!where) return;
    const { address, port } = where;
    const listener = createListener({
      address,
      port,
      open: (where) => openHttpServer(where, ask),
      report: (problem) => log.warn({ problem }, "the proxy cannot tell of itself here; it will be tried again"),
      signal,
      clock,
    });
    signal.addEventListener("abort", () => listener.close(), { once: true });
  };
  serve(ports.metrics, (path, query) => answerMetrics(options, path, query));
  serve(ports.health, (path, query) =>
    path === "/readyz" ? answerReady(options, query) : answerHealth(options, path),
  );
}

async function answerMetrics(options: StatusOptions, path: string, query: URLSearchParams): Promise<Answer> {
  const { metrics, mode } = options;
  switch (path) {
    case "/metrics":
      return { status: 200, headers: { "content-type": metricsType }, body: await metrics.text() };
    case "/proxyMode":
      return text(200, mode());
    case "/healthz":
      return text(200, "ok");
    case "/readyz":
      return answerReady(options, query);
    default:
      return text(404, "404 page not found\n");
  }
}

/** With the bodies that kube-proxy gives. */
function answerHealth({ health, nodeEligible, figures, clock }: StatusOptions, path: string): Answer {
  if (path !== "/healthz" && path !== "/livez") return text(404, "404 page not found\n");
  const { healthy, lastUpdated } = health();
  const eligible = nodeEligible();
  const isHealthz = path === "/healthz";
  const status = healthy && (eligible || !isHealthz) ? 200 : 503;
  figures.answered(isHealthz ? "healthz" : "livez", status);
  const [updated, now] = [lastUpdated ?? 0, clock.now()].map((at) => JSON.stringify(new Date(at).toISOString()));
  // To the byte as kube-proxy writes it, but for the form of the times.
  const times = `"lastUpdated": ${lastUpdated === undefined ? '""' : updated},"currentTime": ${now}`;
  const body = isHealthz ? `{${times}, "nodeEligible": ${eligible}}` : `{${times}}`;
  const headers = { "content-type": "application/json", "x-content-type-options": "nosniff" };
  return { status, headers, body };
}

/** Ready when all Services are in force; with `?probe=datapath` only when a packet comes through just now, too. */
async function answerReady({ unready, probeDatapath, mode }: StatusOptions, query: URLSearchParams): Promise<Answer> {
  const probe = query.get("probe");
  if (probe !== null && probe !== "datapath")
    return text(400, `there is no probe ${JSON.stringify(probe)}: use datapath\n`);
  const reason = unready() ?? (probe === "datapath" ? await probeDatapath() : undefined);
  const body = { ready: reason === undefined, mode: mode(), ...(reason === undefined ? {} : { reason }) };
  return {
    status: reason === undefined ? 200 : 503,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  };
}

function text(status: number, body: string): Answer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}
