import { wholePattern } from "./expression.ts";
import { canonicalHost, wildcardKey } from "./host.ts";
import type {
  Certificate,
  FieldMatch,
  HostRoutes,
  HostTable,
  Listener,
  Pool,
  Route,
  RoutingModel,
  Server,
  StreamRoute,
  Termination,
} from "./model.ts";
import { canonicalPath } from "./path.ts";
import { serverFor, streamFor, suffixesOf } from "./server.ts";

/** A request as far as routing looks at it. */
export interface RoutingRequest {
  /** Host header, or the authority of an absolute-form target. */
  readonly host: string;
  /** Path without query, as the client sent it. */
  readonly path: string;
  /** With or without its question mark. Default: none. */
  readonly query?: string;
  /** Default: GET. */
  readonly method?: string;
  /** By name in lower case; several values of a name joined with `, `. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Server name (SNI) of its connection. Default: that of the Host header, as a client does it. */
  readonly serverName?: string;
  /** Name of the listener it came in by. Default: the first. */
  readonly listener?: string;
}

/** The same for who looks at requests without copying them. */
export interface RequestView {
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly method: string;
  header(name: string): string | undefined;
  /** `undefined` for a connection without TLS; "" for one without a name. */
  readonly serverName: string | undefined;
}

/** Why a route was taken: which host rule and which kind of path rule matched. */
export interface Why {
  readonly host: "exact" | "wildcard" | "any" | "none";
  readonly path: "exact" | "regex" | "prefix" | "default";
}

export type Match =
  /** `path` is the canonical path: this and nothing else is to be forwarded. */
  | {
      readonly outcome: "route";
      readonly route: Route;
      readonly path: string;
      readonly host: string;
      readonly server: Server;
      readonly why: Why;
    }
  /** No rule and no default backend takes it: 404. */
  | { readonly outcome: "unmatched"; readonly why: string }
  /** Its connection was made for another server (RFC 9110 section 15.5.20): 421. */
  | { readonly outcome: "misdirected"; readonly why: string }
  /** Host or path have no clear meaning: 400. */
  | { readonly outcome: "refused"; readonly why: string };

/**
 * Where a request goes: the meaning of the model, which every data plane is tested against.
 *
 * The most specific server of the listener has it alone. Within it, hosts are tried from exact over wildcards, the longest
 * first, to any; for an Ingress only the most specific that there is. Within a host an exact path wins over an
 * expression, that over a prefix, and a longer prefix over a shorter one; among routes of one path those with a method,
 * then those with more header fields, then with more query parameters, then the older.
 */
export function match(model: RoutingModel, request: RoutingRequest): Match {
  const listener =
    request.listener === undefined
      ? model.listeners[0]
      : model.listeners.find((candidate) => candidate.name === request.listener);
  if (!listener) return { outcome: "unmatched", why: "there is no such listener" };
  const { headers = {}, query = "", method = "GET", host, path } = request;
  const secure = listener.protocol !== "HTTP";
  return matchOn(listener, {
    host,
    path,
    method,
    query,
    header: (name) => headers[name],
    serverName: secure ? (request.serverName ?? canonicalHost(host) ?? "") : undefined,
  });
}

/** `match` for a listener that is known already. */
export function matchOn(listener: Listener, request: RequestView): Match {
  const host = canonicalHost(request.host);
  if (host === undefined) return { outcome: "refused", why: "the Host header is not a host name" };
  const path = canonicalPath(request.path);
  if (typeof path !== "string") return { outcome: "refused", why: path.refused };
  const server = serverFor(listener, host);
  if (request.serverName !== undefined && listener.servers.size > 1) {
    const arrived = serverFor(listener, request.serverName);
    if (server && arrived !== server)
      return { outcome: "misdirected", why: "the connection was made for another server name" };
  }
  if (server?.kind !== "http") return { outcome: "unmatched", why: "no listener serves this host" };
  const found = routeFor(server.hosts, host, path, request);
  if (!found) return { outcome: "unmatched", why: "no rule matches this host and path" };
  return { outcome: "route", path, ...found, host, server };
}

/** Hosts of a table in the order in which they have a say. */
function* hostsFor(table: HostTable, host: string): Generator<{ routes: HostRoutes; by: Why["host"] }> {
  const exact = table.exact.get(host);
  if (exact) yield { routes: exact, by: "exact" };
  if (table.wildcard.size > 0) {
    const key = wildcardKey(host);
    const keys = table.semantics === "Gateway" ? suffixesOf(host) : key === undefined ? [] : [key];
    for (const suffix of keys) {
      const routes = table.wildcard.get(suffix);
      if (routes) yield { routes, by: "wildcard" };
    }
  }
  if (table.any) yield { routes: table.any, by: "any" };
}

function routeFor(
  table: HostTable,
  host: string,
  path: string,
  request: RequestView,
): { route: Route; why: Why; path?: string } | undefined {
  for (const { routes, by } of hostsFor(table, host)) {
    const merged = routes.mergeSlashes && path.includes("//") ? path.replaceAll(/\/{2,}/g, "/") : path;
    const changed = merged === path ? {} : { path: merged };
    const found = routeIn(routes, merged, request);
    if (found) return { route: found.route, why: { host: by, path: found.by }, ...changed };
    if (routes.fallback) return { route: routes.fallback, why: { host: by, path: "default" }, ...changed };
    if (table.semantics === "Ingress") break;
  }
  return table.fallback && { route: table.fallback, why: { host: "none", path: "default" } };
}

function routeIn(
  routes: HostRoutes,
  path: string,
  request: RequestView,
): { route: Route; by: Why["path"] } | undefined {
  const exact = firstOf(routes.exact.get(path), request);
  if (exact) return { route: exact, by: "exact" };
  for (const route of routes.regex) {
    if (wholePattern(route.path?.value ?? "")?.test(path) && accepts(route, request)) return { route, by: "regex" };
  }
  if (routes.prefix.size === 0) return undefined;
  // Cuts the path at its slashes from the right. It begins at the longest prefix there is, so that a hostile path of
  // thousands of slashes costs no more than a short one.
  let end = path.length;
  if (end > routes.longestPrefix) end = path.lastIndexOf("/", routes.longestPrefix);
  for (;;) {
    const route = firstOf(routes.prefix.get(path.slice(0, Math.max(end, 0))), request);
    if (route) return { route, by: "prefix" };
    if (end <= 0) return undefined;
    end = path.lastIndexOf("/", end - 1);
  }
}

function firstOf(routes: readonly Route[] | undefined, request: RequestView): Route | undefined {
  return routes?.find((route) => accepts(route, request));
}

function accepts(route: Route, request: RequestView): boolean {
  if (route.method !== undefined && route.method !== request.method) return false;
  if (!route.headers.every((field) => holds(field, request.header(field.name)))) return false;
  if (route.query.length === 0) return true;
  const query = new URLSearchParams(request.query);
  // Of several values the first counts, as the specification recommends.
  return route.query.every((field) => holds(field, query.get(field.name) ?? undefined));
}

function holds({ type, value }: FieldMatch, actual: string | undefined): boolean {
  if (actual === undefined) return false;
  return type === "Exact" ? actual === value : (wholePattern(value)?.test(actual) ?? false);
}

/** Where a connection or a datagram goes on a listener for TLS, TCP or UDP. `serverName` is "" without TLS. */
export function matchStream(
  listener: Listener,
  serverName: string,
): { readonly server: Server; readonly route?: StreamRoute } | undefined {
  const name = serverName.toLowerCase();
  const server = serverFor(listener, name);
  if (!server) return undefined;
  const route = server.kind === "stream" ? streamFor(server.streams, name) : undefined;
  return { server, ...(route ? { route } : {}) };
}

/** The pools of a route's backends that get requests, with their weights. */
export function poolsOf(
  model: RoutingModel,
  route: Pick<Route, "rule">,
): { readonly pool: Pool; readonly weight: number }[] {
  return route.rule.backends.flatMap(({ pool: key, weight }) => {
    const pool = key === undefined || weight === 0 ? undefined : model.pools.get(key);
    return pool ? [{ pool, weight }] : [];
  });
}

/** The certificate for a server name: exact, then wildcard (one label), then the one for any name. */
export function certificateIn({ certificates }: Termination, serverName: string): Certificate | undefined {
  const name = serverName.toLowerCase();
  const dot = name.indexOf(".");
  return (
    certificates.get(name) ?? (dot > 0 ? certificates.get(`*${name.slice(dot)}`) : undefined) ?? certificates.get("")
  );
}

/** The same on a listener. */
export function certificateFor(listener: Listener, serverName: string): Certificate | undefined {
  const tls = serverFor(listener, serverName.toLowerCase())?.tls;
  return tls && certificateIn(tls, serverName);
}
