import { statusError } from "../../kube/index.ts";
import type { Metrics } from "../../system/index.ts";

/** Requests worked on at once, as upstream's `--max-requests-inflight`; watches and followed logs do not count. */
const mostReading = 400;
const mostMutating = 200;

/** A bound on the requests that are worked on at once. */
export interface InFlight {
  /** Takes a place; call what comes back when the work is done. Throws StatusError TooManyRequests when there is none. */
  enter(mutating: boolean): () => void;
  /** Requests that are worked on now. */
  readonly now: { readonly reading: number; readonly mutating: number };
}

export function createInFlight(limits = { reading: mostReading, mutating: mostMutating }): InFlight {
  const now = { reading: 0, mutating: 0 };
  return {
    now,
    enter(mutating) {
      const kind = mutating ? "mutating" : "reading";
      if (now[kind] >= limits[kind])
        throw statusError("TooManyRequests", "Too many requests, please try again later.", { retryAfterSeconds: 1 });
      now[kind]++;
      let left = false;
      return () => {
        if (!left) now[kind]--;
        left = true;
      };
    },
  };
}

/** Under the name that kube-apiserver has. */
export function tellOfInFlight(metrics: Metrics, { now }: InFlight): void {
  const requests = metrics.gauge(
    "apiserver_current_inflight_requests",
    "Requests over the network that are worked on now.",
    ["request_kind"],
  );
  requests("readOnly").from(() => now.reading);
  requests("mutating").from(() => now.mutating);
}
