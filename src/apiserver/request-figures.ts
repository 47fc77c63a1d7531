import type { Metrics } from "../system/index.ts";
import type { ApiRequest, ApiResponse, WatchFrame, WatchFrames } from "./handler.ts";
import type { RequestInfo, ResourceVerb } from "./request/request-info.ts";
import { findReview, type Catalog } from "./resources/index.ts";
import { watchFrames } from "./storage/index.ts";

/** Counts requests under the names and labels that kube-apiserver has. */
export interface RequestFigures {
  /**
   * Counts an answer that took so many seconds to make, `waited` of which were no work of the server's: the wait for seats and for webhooks.
   * One that goes on is counted while it does: take the answer that comes back.
   */
  answered(request: ApiRequest, info: RequestInfo, seconds: number, waited: number, response: ApiResponse): ApiResponse;
  /** Counts what the authorizers said of a request. */
  decided(allowed: boolean): void;
  /** Counts a request that was turned away before its answer was made. */
  refused(info: RequestInfo, code: number): void;
  /** Counts a request that the server ended in self-defence. */
  terminated(info: RequestInfo, code: number): void;
}

/** Upper bounds in seconds, as upstream. */
const buckets = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
/** The same of the service level indicator. */
const sliBuckets = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];

const where = ["group", "version", "resource"];
const what = ["verb", "dry_run", ...where, "subresource", "scope", "component"];
const whatRuns = ["verb", ...where, "subresource", "scope", "component"];
const component = "apiserver";

export function createRequestFigures(metrics: Metrics, catalog: Catalog): RequestFigures {
  const requests = metrics.counter(
    "apiserver_request_total",
    "Requests answered, by what they asked for and the status code.",
    [...what, "code"],
  );
  const durations = metrics.histogram(
    "apiserver_request_duration_seconds",
    "Time until an answer was made. Watches and logs, which go on, are not in it.",
    what,
    buckets,
  );
  const indicator = metrics.histogram(
    "apiserver_request_sli_duration_seconds",
    "Time until an answer was made, without waits for webhooks and for seats: what service levels are measured by.",
    whatRuns,
    sliBuckets,
  );
  const terminations = metrics.counter(
    "apiserver_request_terminations_total",
    "Requests that the server ended in self-defence: too many at once, or too long.",
    [...whatRuns, "code"],
  );
  const running = metrics.gauge(
    "apiserver_longrunning_requests",
    "Watches, logs and connections to pods under way.",
    whatRuns,
  );
  const events = metrics.counter("apiserver_watch_events_total", "Events sent to watches.", where);
  const attempts = metrics.counter(
    "authentication_attempts",
    "Requests over the network by whether it is known who asks.",
    ["result"],
  );
  const known = attempts("success");
  const decisions = metrics.counter("authorization_attempts_total", "Requests by whether they were allowed.", [
    "result",
  ]);
  const allowed = decisions("allowed");
  const denied = decisions("denied");

  return {
    answered(request, info, seconds, waited, response) {
      const { verb, group, version, resource, subresource, scope } = labelsOf(
        catalog,
        info,
        request.headers["content-type"],
      );
      const dryRun = request.query.has("dryRun") ? "All" : "";
      const code = String(response.status);
      requests(verb, dryRun, group, version, resource, subresource, scope, component, code).inc();
      if (request.origin) known.inc();
      const goesOn = () => running(verb, group, version, resource, subresource, scope, component);
      if (response.type === "watch") {
        return { ...response, frames: countedFrames(response.frames, goesOn(), events(group, version, resource)) };
      }
      if (response.type === "upgrade") {
        return {
          ...response,
          async take(socket, head) {
            const underWay = goesOn();
            underWay.inc();
            await response.take(socket, head);
            underWay.dec();
          },
        };
      }
      if (response.type === "stream" && info.type === "resource")
        return { ...response, chunks: counted(response.chunks, goesOn()) };
      durations(verb, dryRun, group, version, resource, subresource, scope, component).observe(seconds);
      indicator(verb, group, version, resource, subresource, scope, component).observe(Math.max(0, seconds - waited));
      return response;
    },
    refused(info, code) {
      const { verb, group, version, resource, subresource, scope } = labelsOf(catalog, info, undefined);
      requests(verb, "", group, version, resource, subresource, scope, component, String(code)).inc();
      if (code === 401) attempts("failure").inc();
    },
    terminated(info, code) {
      const { verb, group, version, resource, subresource, scope } = labelsOf(catalog, info, undefined);
      terminations(verb, group, version, resource, subresource, scope, component, String(code)).inc();
    },
    decided(isAllowed) {
      (isAllowed ? allowed : denied).inc();
    },
  };
}

interface Labels {
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly scope: string;
}

const verbs: Readonly<Record<ResourceVerb, string>> = {
  get: "GET",
  list: "LIST",
  watch: "WATCH",
  create: "POST",
  update: "PUT",
  patch: "PATCH",
  delete: "DELETE",
  deletecollection: "DELETECOLLECTION",
  "": "OTHER",
};

/** Parts that lead somewhere else: whatever the method, they count as one verb. */
const connectedParts: ReadonlySet<string> = new Set(["exec", "attach", "portforward", "proxy"]);

const methods: ReadonlySet<string> = new Set(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]);

/** Only what is served becomes a label: what a client makes up counts under empty ones. */
function labelsOf(catalog: Catalog, info: RequestInfo, contentType: string | undefined): Labels {
  const nothing = { group: "", version: "", resource: "", subresource: "", scope: "" };
  if (info.type === "path") {
    const method = info.verb.toUpperCase();
    return { verb: methods.has(method) ? method : "OTHER", ...nothing };
  }
  const isApply = info.verb === "patch" && contentType?.startsWith("application/apply-patch");
  const verb = isApply ? "APPLY" : verbs[info.verb];
  const { resource } = catalog.find(info.group, info.version, info.resource) ?? findReview(info) ?? {};
  if (!resource) return { verb, ...nothing };
  const subresource = resource.subresources.includes(info.subresource) ? info.subresource : "";
  const { group, version, plural } = resource;
  const isConnect = group === "" && connectedParts.has(subresource);
  return { verb: isConnect ? "CONNECT" : verb, group, version, resource: plural, subresource, scope: scopeOf(info) };
}

/** As upstream's `CleanScope`. */
function scopeOf({ verb, namespace, name }: Extract<RequestInfo, { type: "resource" }>): string {
  if (name || verb === "create") return "resource";
  return namespace ? "namespace" : "cluster";
}

/** Counts from the first one taken: who goes before that leaves nothing behind. */
async function* counted<T>(parts: AsyncIterable<T>, underWay: { inc(): void; dec(): void }): AsyncGenerator<T> {
  underWay.inc();
  try {
    for await (const part of parts) yield part;
  } finally {
    underWay.dec();
  }
}

/** Counts a watch while it is taken from, and each of its frames. */
function countedFrames(
  frames: WatchFrames,
  underWay: { inc(): void; dec(): void },
  sent: { inc(): void },
): WatchFrames {
  let state: "new" | "open" | "closed" = "new";
  const passed = (frame: WatchFrame | undefined): WatchFrame | undefined => {
    if (frame) sent.inc();
    return frame;
  };
  return watchFrames({
    take() {
      if (state === "new") {
        state = "open";
        underWay.inc();
      }
      const frame = frames.take();
      return frame instanceof Promise ? frame.then(passed) : passed(frame);
    },
    more: () => frames.more(),
    get done() {
      return frames.done;
    },
    close() {
      if (state === "open") underWay.dec();
      state = "closed";
      frames.close();
    },
  });
}
