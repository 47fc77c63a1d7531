import type { Listener, Pool, Route, RoutingModel } from "../routing/index.ts";
import { matchOn, routesOf } from "../routing/index.ts";
import type { Clock, Logger, Metrics } from "../system/index.ts";
import { openAccessLog, tellLines } from "./access-log.ts";
import { createFinishedCounts, type Finished, tellAll } from "./finished.ts";
import { tellSpans, type TraceSettings, type Tracing } from "./tracing/tracing.ts";

/** Whether, and where to, a data plane that is a program of its own tells of each request. Nothing of it: it tells nothing. */
export interface ReportOptions {
  readonly metrics?: Metrics;
  /** Counts requests by route. It costs each request something (docs/metrics.md). Default: no. */
  readonly routeFigures?: boolean;
  /** Descriptor of a file that gets a line for each request (`access-log.ts`); stays open. Default: none is written. */
  readonly accessLog?: number;
  /** Requests are traced (docs/metrics.md). Default: no; what clients say of traces is passed on as it is. */
  readonly tracing?: Tracing;
}

/** Takes what a program said of its requests, under the names of the embedded data plane. */
export interface Reports {
  /** Absent: requests are not traced. */
  readonly tracing?: TraceSettings;
  done(finished: Finished): void;
  /** So many requests were not told of. */
  lost(requests: number): void;
  /** Settles when all lines have gone out. */
  flush(): Promise<void>;
}

/** `undefined`: nobody wants to know. */
export function createReports(
  { metrics, routeFigures = false, accessLog, tracing }: ReportOptions,
  clock: Clock,
  log: Logger,
): Reports | undefined {
  const onlySpans = !(routeFigures && metrics) && accessLog === undefined;
  if (onlySpans && !tracing) return undefined;
  const lines = accessLog === undefined ? undefined : openAccessLog(accessLog, log);
  const tell = tellAll([
    ...(lines ? [tellLines(lines, () => clock.now())] : []),
    ...(tracing ? [tellSpans(tracing)] : []),
  ]);
  const done = routeFigures && metrics ? createFinishedCounts(metrics, tell) : tell;
  return {
    ...(tracing ? { tracing: { sample: tracing.sample, only: onlySpans } } : {}),
    done: (finished) => done?.(finished),
    // Which of them were recorded is not known otherwise.
    lost: (requests) => (onlySpans ? tracing?.lost(requests) : undefined),
    flush: async () => lines?.flush(),
  };
}

/** Characters of a line that is kept; a longer one, which no program of ours writes, is left out. */
const longestLine = 64 << 10;

/** Cuts what comes in pieces into lines, each byte a character: as header fields are read elsewhere. */
export function createLines(each: (line: string) => void): (chunk: Buffer) => void {
  let rest: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  let skipping = false;
  return (chunk) => {
    let data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10)) {
      if (!skipping && end > 0) each(data.toString("latin1", 0, end));
      skipping = false;
      data = data.subarray(end + 1);
    }
    if (data.length > longestLine) skipping = true;
    rest = skipping ? Buffer.alloc(0) : Buffer.from(data);
  };
}

/** How a program's words lead back to the model that it serves. */
export interface ModelIndex {
  /** By the name that the program knows the listener by. */
  listener(name: string): Listener | undefined;
  /** By `Route.id` alone: of any listener that has it. */
  anyRoute(id: string): Route | undefined;
  pool(key: string): Pool | undefined;
}

export function indexModel(model: RoutingModel, nameOf: (listener: Listener) => string | undefined): ModelIndex {
  const listeners = new Map(model.listeners.map((listener) => [nameOf(listener), listener]));
  // Made when the first request asks for it: a model may be replaced before.
  let routes: Map<string, Route> | undefined;
  return {
    listener: (name) => listeners.get(name),
    anyRoute(id) {
      routes ??= new Map(model.listeners.flatMap((each) => [...routesOf(each)].map((route) => [route.id, route])));
      return routes.get(id);
    },
    pool: (key) => model.pools.get(key),
  };
}

/** The route of a request that only host, path, query and method decided on. */
export function plainRoute(
  listener: Listener,
  { host, target, method }: Pick<Finished, "host" | "target" | "method">,
): Route | undefined {
  const mark = target.indexOf("?");
  const found = matchOn(listener, {
    host,
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? "" : target.slice(mark),
    method,
    header: () => undefined,
    serverName: undefined,
  });
  return found.outcome === "route" ? found.route : undefined;
}
