import type { Metrics } from "../../system/index.ts";

/** What is counted of connections and of who is behind them, under kube-apiserver's names. */
export interface ServingFigures {
  handshakeFailed(): void;
  /** It took so many milliseconds to find out who asks, or that nobody can say. */
  authenticated(result: "success" | "failure", milliseconds: number): void;
  /** A request by a certificate that ends in so many milliseconds. */
  certificate(left: number): void;
}

/** Upper bounds in seconds, as upstream: 1 ms, doubled each time. */
const durations = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);
/** The same of what is left of a certificate, as upstream: from half an hour to a year. */
const hour = 3600;
const day = 24 * hour;
const lifetimes = [0, hour / 2, hour, 2 * hour, 6 * hour, 12 * hour, day, 2 * day, 4 * day, 7 * day, 30 * day].concat(
  [90, 180, 360].map((days) => days * day),
);

export function createServingFigures(metrics: Metrics): ServingFigures {
  const handshakes = metrics.counter("apiserver_tls_handshake_errors_total", "TLS handshakes that failed.")();
  const took = metrics.histogram(
    "authentication_duration_seconds",
    "Time until it was known who asks.",
    ["result"],
    durations,
  );
  const left = metrics.histogram(
    "apiserver_client_certificate_expiration_seconds",
    "What was left of the life of the certificates that requests were made with.",
    [],
    lifetimes,
  )();
  return {
    handshakeFailed: () => handshakes.inc(),
    authenticated: (result, milliseconds) => took(result).observe(milliseconds / 1000),
    certificate: (milliseconds) => left.observe(milliseconds / 1000),
  };
}
