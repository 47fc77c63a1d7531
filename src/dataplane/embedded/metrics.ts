import type { Metrics } from "../../system/index.ts";

/** Counts of requests. Labels are bounded: no host, path or client address is one. */
export interface RequestCounts {
  /** A request has been answered; 499 when its client left first. */
  requestDone(code: number): void;
  requestBegun(): void;
  retried(): void;
}

export function createRequestCounts(metrics: Metrics): RequestCounts {
  const requests = metrics.counter(
    "fairlead_ingress_requests_total",
    "Requests answered, by status code; 499 when the client left first.",
    ["code"],
  );
  const inFlight = metrics.gauge("fairlead_ingress_requests_in_flight", "Requests and tunnels under way.")();
  const retries = metrics.counter("fairlead_ingress_retries_total", "Further attempts after a failed one.")();
  return {
    requestBegun: () => inFlight.inc(),
    requestDone(code) {
      inFlight.dec();
      requests(String(code)).inc();
    },
    retried: () => retries.inc(),
  };
}
