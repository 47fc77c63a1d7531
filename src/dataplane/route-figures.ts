import type { Pool, Route } from "../routing/index.ts";
import type { Counter, Histogram, Metrics } from "../system/index.ts";

/** What became of a request that found a route. */
export interface RouteOutcome {
  readonly route: Route;
  /** Where it was sent; absent when the route itself answered. */
  readonly pool?: Pool;
  readonly method: string;
  /** 499 when the client left first. */
  readonly code: number;
  /** From the request's header section to the end of its answer. */
  readonly seconds: number;
}

/** Counts requests by route and backend, under the same names for every data plane. */
export type RouteFigures = (outcome: RouteOutcome) => void;

/** Upper bounds in seconds; those of Prometheus' client libraries and of ingress-nginx. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Series are kept for so many routes with their backends, methods and codes; what comes later is counted as `other`. */
const mostSeries = 5_000;

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const other = "other";

interface Series {
  readonly requests: Counter;
  readonly duration: Histogram;
  readonly aliases?: { readonly requests: Counter; readonly duration: Histogram };
}

/** Of one route: by key of the pool ("" for none), method and code. */
type Places = Map<string, Map<string, Map<number, Series>>>;

/**
 * `fairlead_route_requests_total` and `fairlead_route_request_duration_seconds`; for Ingresses also what ingress-nginx calls
 * `nginx_ingress_controller_requests` and `nginx_ingress_controller_request_duration_seconds`, with the labels that dashboards ask for.
 * Labels are names of objects, bounded by `most`.
 */
export function createRouteFigures(metrics: Metrics, most = mostSeries): RouteFigures {
  const labels = ["kind", "namespace", "name", "rule", "backend"];
  const requests = metrics.counter(
    "fairlead_route_requests_total",
    "Requests by the object and rule that led them, by backend, method and status code; 499 when the client left first.",
    [...labels, "method", "code"],
  );
  const duration = metrics.histogram(
    "fairlead_route_request_duration_seconds",
    "Time from a request's header section to the end of its answer.",
    labels,
    buckets,
  );
  const aliasLabels = ["namespace", "ingress", "host", "path", "service", "method", "status"];
  const aliasRequests = metrics.counter(
    "nginx_ingress_controller_requests",
    "fairlead_route_requests_total of Ingresses, as ingress-nginx names it.",
    aliasLabels,
  );
  const aliasDuration = metrics.histogram(
    "nginx_ingress_controller_request_duration_seconds",
    "fairlead_route_request_duration_seconds of Ingresses, as ingress-nginx names it.",
    aliasLabels,
    buckets,
  );
  // A route that is still the same is the same object: what it has is found without its names.
  const known = new WeakMap<Route, Places>();
  const names = new Set<string>();
  let overflow: Series | undefined;

  function begin({ route, pool }: RouteOutcome, method: string, code: number): Series {
    const { owner, host, path } = route;
    const { kind, namespace = "", name } = owner.object;
    const backend = pool ? `${pool.service.namespace}/${pool.service.name}:${pool.port}` : "";
    const about = [kind, namespace, name, owner.field, backend];
    const status = String(code);
    const key = [...about, method, status].join("\0");
    if (!names.has(key) && names.size >= most) {
      const nothing = labels.map(() => other);
      return (overflow ??= { requests: requests(...nothing, other, other), duration: duration(...nothing) });
    }
    names.add(key);
    const alias = [namespace, name, host, path?.value || "/", pool?.service.name ?? "", method, status];
    return {
      requests: requests(...about, method, status),
      duration: duration(...about),
      ...(kind === "Ingress"
        ? { aliases: { requests: aliasRequests(...alias), duration: aliasDuration(...alias) } }
        : {}),
    };
  }

  function seriesOf(outcome: RouteOutcome): Series {
    const { route, pool, code } = outcome;
    const method = methods.has(outcome.method) ? outcome.method : other;
    let places = known.get(route);
    if (!places) known.set(route, (places = new Map()));
    const key = pool?.key ?? "";
    let byMethod = places.get(key);
    if (!byMethod) places.set(key, (byMethod = new Map()));
    let byCode = byMethod.get(method);
    if (!byCode) byMethod.set(method, (byCode = new Map()));
    let series = byCode.get(code);
    if (!series) byCode.set(code, (series = begin(outcome, method, code)));
    return series;
  }

  return (outcome) => {
    const { requests: counted, duration: took, aliases } = seriesOf(outcome);
    counted.inc();
    took.observe(outcome.seconds);
    aliases?.requests.inc();
    aliases?.duration.observe(outcome.seconds);
  };
}
