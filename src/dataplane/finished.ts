import type { Pool, Route } from "../routing/index.ts";
import type { Metrics } from "../system/index.ts";
import { createRouteFigures } from "./route-figures.ts";
import type { Traced } from "./tracing/span.ts";

/** A request that has been answered, or whose client has left: what every data plane says of one. */
export interface Finished {
  readonly id: string;
  readonly method: string;
  /** Host header as it was sent. */
  readonly host: string;
  /** With the query, as it was sent. */
  readonly target: string;
  /** `HTTP/1.1` and so on. */
  readonly protocol: string;
  /** Address of the client, behind forwarders that are trusted. */
  readonly client: string;
  readonly header: (name: string) => string | undefined;
  /** Absent: it found none. */
  readonly route?: Route;
  readonly pool?: Pool;
  /** Address and port of the endpoint that answered, or was tried last. */
  readonly endpoint?: string;
  /** 499 when its client left first. */
  readonly code: number;
  /** Of the answer's body. */
  readonly bytes: number;
  /** From its header section to the end of its answer. */
  readonly milliseconds: number;
  /** Its place in a trace, where requests are traced. */
  readonly trace?: Traced;
}

/** One who tells all of these, as few are asked for as there are. */
export function tellAll(each: readonly ((finished: Finished) => void)[]): ((finished: Finished) => void) | undefined {
  const [first, ...more] = each;
  if (more.length === 0) return first;
  return (finished) => {
    for (const tell of each) tell(finished);
  };
}

/** Counts requests that are done, by code and by route; `told` hears of each. */
export function createFinishedCounts(
  metrics: Metrics,
  told?: (finished: Finished) => void,
): (finished: Finished) => void {
  const requests = metrics.counter(
    "fairlead_ingress_requests_total",
    "Requests answered, by status code; 499 when the client left first.",
    ["code"],
  );
  const byRoute = createRouteFigures(metrics);
  const ofCode = new Map<number, ReturnType<typeof requests>>();
  return (finished) => {
    const { code, route, pool, method, milliseconds } = finished;
    let counter = ofCode.get(code);
    if (!counter) ofCode.set(code, (counter = requests(String(code))));
    counter.inc();
    if (route) byRoute({ route, method, code, seconds: milliseconds / 1000, ...(pool ? { pool } : {}) });
    told?.(finished);
  };
}
