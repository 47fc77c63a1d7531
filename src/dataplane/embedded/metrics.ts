import type { Metrics } from "../../system/index.ts";
import { createFinishedCounts, type Finished } from "../finished.ts";

/** What is counted of requests. */
export interface RequestCounts {
  requestBegun(): void;
  /** One that has begun goes on elsewhere, where it begins again. */
  requestLeft(): void;
  requestDone(finished: Finished): void;
  retried(): void;
}

/** `told` hears of each request that is done. */
export function createRequestCounts(metrics: Metrics, told?: (finished: Finished) => void): RequestCounts {
  const done = createFinishedCounts(metrics, told);
  const inFlight = metrics.gauge("fairlead_ingress_requests_in_flight", "Requests and tunnels under way.")();
  const retries = metrics.counter("fairlead_ingress_retries_total", "Further attempts after a failed one.")();
  return {
    requestBegun: () => inFlight.inc(),
    requestLeft: () => inFlight.dec(),
    requestDone(finished) {
      inFlight.dec();
      done(finished);
    },
    retried: () => retries.inc(),
  };
}
