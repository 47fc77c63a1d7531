import type { Metrics } from "../system/index.ts";

/** Upper bounds in seconds, as client-go has them. */
const buckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

/** Counts the requests of clients, under the names that client-go has. */
export interface ClientFigures {
  /** A request was answered with this code after so many seconds. */
  answered(method: string, code: number, seconds: number): void;
}

/** `host`: whom they ask; it becomes a label, so it must be one of few. */
export function createClientFigures(metrics: Metrics, host: string): ClientFigures {
  const requests = metrics.counter("rest_client_requests_total", "Requests of this process to an API server.", [
    "code",
    "method",
    "host",
  ]);
  const durations = metrics.histogram(
    "rest_client_request_duration_seconds",
    "Time until a request of this process was answered. Watches are not in it.",
    ["verb", "host"],
    buckets,
  );
  return {
    answered(method, code, seconds) {
      requests(String(code), method, host).inc();
      durations(method, host).observe(seconds);
    },
  };
}
