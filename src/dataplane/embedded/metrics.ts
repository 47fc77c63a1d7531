import { Counter, Gauge, type Registry } from "prom-client";

/** Counts for Prometheus. Labels are bounded: no host, path or client address is one. */
export interface Metrics {
  /** A request has been answered; 499 when its client left first. */
  requestDone(code: number): void;
  requestBegun(): void;
  retried(): void;
}

export function createMetrics(registry: Registry): Metrics {
  const registers = [registry];
  const requests = new Counter({
    name: "fairlead_ingress_requests_total",
    help: "Requests answered, by status code; 499 when the client left first.",
    labelNames: ["code"],
    registers,
  });
  const inFlight = new Gauge({
    name: "fairlead_ingress_requests_in_flight",
    help: "Requests and tunnels under way.",
    registers,
  });
  const retries = new Counter({
    name: "fairlead_ingress_retries_total",
    help: "Further attempts after a failed one.",
    registers,
  });
  return {
    requestBegun: () => inFlight.inc(),
    requestDone(code) {
      inFlight.dec();
      requests.inc({ code });
    },
    retried: () => retries.inc(),
  };
}
