import { type Captures, compileCaptures } from "../kube/index.ts";
import { addressSet } from "../services/index.ts";
import { changedPath, type Filter, redirectLocation, sslLocation, urlLocation } from "./filters.ts";
import { match, type RoutingRequest } from "./match.ts";
import type { Route, RoutingModel } from "./model.ts";
import type { PolicyFilter } from "./policies.ts";
import type { RequestFacts } from "./template.ts";

/** A request as far as it decides what becomes of it, but for passwords, limits and the weather. */
export interface AskedRequest extends RoutingRequest {
  readonly scheme: "http" | "https";
  /** The client's address. Absent: source ranges are not looked at. */
  readonly client?: string;
}

/** What becomes of a request by the model alone. */
export type Outcome =
  /** One of these pools gets it: the canary's is among them. `path` without query, `hostname` when the Host header is changed. */
  | {
      readonly kind: "forward";
      readonly pools: readonly string[];
      readonly path: string;
      readonly hostname?: string;
      readonly route: Route;
    }
  | { readonly kind: "redirect"; readonly status: number; readonly location: string; readonly route: Route }
  | { readonly kind: "answer"; readonly status: number; readonly why: string; readonly route?: Route };

const patterns = new Map<string, Captures | undefined>();
const most = 4096;

/** At most so many are remembered. */
function capturesOf(source: string): Captures | undefined {
  if (!patterns.has(source)) {
    if (patterns.size >= most) patterns.clear();
    let compiled: Captures | undefined;
    try {
      compiled = compileCaptures(source);
    } catch {
      // The path of such a rule is no expression either: it was told when it was read.
    }
    patterns.set(source, compiled);
  }
  return patterns.get(source);
}

/** The path that a rewrite makes of another one: the same when its expression does not match. */
export function rewrittenPath(
  { pattern, replacement }: Extract<PolicyFilter, { type: "RegexRewrite" }>,
  path: string,
): string {
  const groups = capturesOf(pattern)?.(path);
  if (!groups) return path;
  const text = replacement.replaceAll(/\$(\d)/g, (_, digit: string) => groups[Number(digit)] ?? "");
  return text.startsWith("/") ? text : `/${text}`;
}

/** Follows a request through the model: route, filters, pools. Guards that need more than the request are taken to let it in. */
export function outcomeOf(model: RoutingModel, request: AskedRequest): Outcome {
  const found = match(model, request);
  if (found.outcome !== "route") {
    const status = found.outcome === "refused" ? 400 : found.outcome === "misdirected" ? 421 : 404;
    return { kind: "answer", status, why: found.why };
  }
  const { route, host } = found;
  const query = request.query === undefined || request.query === "" ? "" : `?${request.query.replace(/^\?/, "")}`;
  const listener = model.listeners.find(({ name }) => name === request.listener);
  const port = listener?.port ?? (request.scheme === "https" ? 443 : 80);
  const facts: RequestFacts = {
    scheme: request.scheme,
    host,
    httpHost: request.host,
    method: request.method ?? "GET",
    path: found.path,
    query,
    client: request.client ?? "",
    id: "",
    port,
    header: (name) => request.headers?.[name],
  };
  let path = found.path;
  let hostname: string | undefined;

  function apply(filter: Filter): Outcome | undefined {
    switch (filter.type) {
      case "Redirect":
        return redirect(
          filter.redirect.status,
          redirectLocation(
            filter.redirect,
            { scheme: request.scheme, host: request.host, port, path: facts.path, query },
            route.path,
          ),
        );
      case "SslRedirect":
        if (request.scheme === "https" || facts.path.startsWith("/.well-known/acme-challenge/")) return undefined;
        return redirect(filter.status, sslLocation(filter, { host, path: facts.path, query }));
      case "UrlRedirect":
        if (filter.path !== undefined && filter.path !== facts.path) return undefined;
        return redirect(filter.status, urlLocation(filter, facts));
      case "SourceRanges":
        if (request.client === undefined || filter.satisfyAny || letsIn(filter, request.client)) return undefined;
        return { kind: "answer", status: 403, why: "the client's address is not let in", route };
      case "Rewrite":
        path = changedPath(path, filter.path, route.path);
        hostname = filter.hostname ?? hostname;
        return undefined;
      case "RegexRewrite":
        path = rewrittenPath(filter, path);
        return undefined;
      case "Unsupported":
        return { kind: "answer", status: 500, why: `${filter.what} cannot be served`, route };
      default:
        return undefined;
    }
  }
  const redirect = (status: number, location: string): Outcome => ({ kind: "redirect", status, location, route });

  for (const filter of route.rule.filters) {
    const ended = apply(filter);
    if (ended) return ended;
  }
  const backends = route.rule.backends.filter(({ weight }) => weight > 0);
  if (backends.every(({ pool }) => pool === undefined))
    return { kind: "answer", status: 500, why: "its rule has no backend that can be used", route };
  const [only] = backends;
  if (only && backends.length === 1)
    for (const filter of only.filters) {
      const ended = apply(filter);
      if (ended) return ended;
    }
  const pools = [...backends.map(({ pool }) => pool), route.rule.canary?.pool].filter((pool) => pool !== undefined);
  return { kind: "forward", pools, path, ...(hostname === undefined ? {} : { hostname }), route };
}

function letsIn({ allow, deny }: Extract<PolicyFilter, { type: "SourceRanges" }>, client: string): boolean {
  return !addressSet(deny).has(client) && (allow.length === 0 || addressSet(allow).has(client));
}
