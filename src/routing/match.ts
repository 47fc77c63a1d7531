import { canonicalHost, wildcardKey } from "./host.ts";
import type { Certificate, HostRoutes, HostTable, Listener, Pool, Route, RoutingModel } from "./model.ts";
import { canonicalPath } from "./path.ts";

/** A request as far as routing looks at it. */
export interface RoutingRequest {
  /** Host header, or the authority of an absolute-form target. */
  readonly host: string;
  /** Path without query, as the client sent it. */
  readonly path: string;
  /** Name of the listener it came in by. Default: the first. */
  readonly listener?: string;
}

/** Why a route was taken: which host rule and which kind of path rule matched. */
export interface Why {
  readonly host: "exact" | "wildcard" | "any" | "none";
  readonly path: "exact" | "prefix" | "default";
}

export type Match =
  /** `path` is the canonical path: this and nothing else is to be forwarded. */
  | { readonly outcome: "route"; readonly route: Route; readonly pool: Pool; readonly path: string; readonly why: Why }
  /** No rule and no default backend takes it: 404. */
  | { readonly outcome: "unmatched"; readonly why: string }
  /** Host or path have no clear meaning: 400. */
  | { readonly outcome: "refused"; readonly why: string };

/**
 * Where a request goes: the meaning of the model, which every data plane is tested against.
 *
 * The most specific host decides alone: exact before wildcard (one label) before rules for any host; what its paths do
 * not match goes to a default backend and not to a less specific host. Within a host an exact path wins over a
 * prefix, and a longer prefix over a shorter one.
 */
export function match(model: RoutingModel, request: RoutingRequest): Match {
  const listener =
    request.listener === undefined
      ? model.listeners[0]
      : model.listeners.find((candidate) => candidate.name === request.listener);
  if (!listener) return { outcome: "unmatched", why: "there is no such listener" };
  return matchOn(listener, model.pools, request.host, request.path);
}

/** `match` for a listener that is known already. */
export function matchOn(listener: Listener, pools: ReadonlyMap<string, Pool>, authority: string, raw: string): Match {
  const host = canonicalHost(authority);
  if (host === undefined) return { outcome: "refused", why: "the Host header is not a host name" };
  const path = canonicalPath(raw);
  if (typeof path !== "string") return { outcome: "refused", why: path.refused };
  const found = routeFor(listener.hosts, host, path);
  if (!found) return { outcome: "unmatched", why: "no rule matches this host and path" };
  const pool = pools.get(found.route.pool);
  if (!pool) throw new Error(`the model has no pool ${found.route.pool}`);
  return { outcome: "route", route: found.route, pool, path, why: found.why };
}

function routeFor(table: HostTable, host: string, path: string): { route: Route; why: Why } | undefined {
  let by: Why["host"] = "exact";
  let routes = table.exact.get(host);
  if (!routes) {
    const key = wildcardKey(host);
    by = "wildcard";
    routes = key === undefined ? undefined : table.wildcard.get(key);
  }
  if (!routes) {
    by = "any";
    routes = table.any;
  }
  const exact = routes?.exact.get(path);
  if (exact) return { route: exact, why: { host: by, path: "exact" } };
  const prefix = routes && longestPrefix(routes, path);
  if (prefix) return { route: prefix, why: { host: by, path: "prefix" } };
  const fallback = routes?.fallback ?? table.fallback;
  return fallback && { route: fallback, why: { host: routes?.fallback ? by : "none", path: "default" } };
}

// Cuts the path at its slashes from the right. It begins at the longest prefix there is, so that a hostile path of
// thousands of slashes costs no more than a short one.
function longestPrefix(routes: HostRoutes, path: string): Route | undefined {
  if (routes.prefix.size === 0) return undefined;
  let end = path.length;
  if (end > routes.longestPrefix) end = path.lastIndexOf("/", routes.longestPrefix);
  for (;;) {
    const route = routes.prefix.get(path.slice(0, end));
    if (route || end <= 0) return route;
    end = path.lastIndexOf("/", end - 1);
  }
}

/** The certificate for a server name: exact, then wildcard (one label), then the one for any name. */
export function certificateFor(listener: Listener, serverName: string): Certificate | undefined {
  const { certificates } = listener;
  const name = serverName.toLowerCase();
  const dot = name.indexOf(".");
  return (
    certificates.get(name) ?? (dot > 0 ? certificates.get(`*${name.slice(dot)}`) : undefined) ?? certificates.get("")
  );
}
