import {
  type AskedRequest,
  canaryShare,
  canonicalHost,
  canonicalPath,
  certificateFor,
  type Filter,
  type HostTable,
  type Listener,
  matchOn,
  type Outcome,
  outcomeOf,
  type Owner,
  poolsOf,
  type RequestView,
  type Route,
  routesOf,
  serverFor,
  textOf,
  type Translation,
  wholePattern,
} from "../../routing/index.ts";

/** A request as a client would send it. */
export interface RequestQuestion {
  readonly method: string;
  readonly url: URL;
  /** By name in lower case; `host` takes the place of the URL's. */
  readonly headers: Readonly<Record<string, string>>;
  /** The path with its escapes as it was typed: `URL` would resolve what a data plane has to refuse. Default: that of `url`. */
  readonly path?: string;
}

/** A route that could have been meant, and why it was taken or not. */
export interface Candidate {
  readonly route: string;
  /** `Ingress shop/web`. */
  readonly object: string;
  readonly field: string;
  readonly taken: boolean;
  readonly why: string;
}

export interface TracedBackend {
  readonly service: string;
  readonly port: string;
  /** 0 to 1. */
  readonly odds: number;
  readonly endpoints: readonly {
    readonly address: string;
    readonly port: number;
    readonly odds: number;
    readonly ready: boolean;
  }[];
  /** Why there can be none. */
  readonly absent?: string;
}

export interface RequestTrace {
  readonly request: { readonly method: string; readonly host: string; readonly path: string; readonly scheme: string };
  /** Name and port of the listener; absent: none serves that port. */
  readonly listener?: { readonly name: string; readonly port: number };
  /** Certificate that a client is shown; absent without TLS, or where the default one is. */
  readonly certificate?: { readonly secret: string; readonly object: string; readonly field: string };
  readonly candidates: readonly Candidate[];
  /** Candidates that are not shown. */
  readonly more: number;
  readonly filters: readonly string[];
  readonly backends: readonly TracedBackend[];
  readonly verdict: "forward" | "answer" | "refuse";
  /** Status that the data plane answers with by itself. */
  readonly status?: number;
  readonly reason: string;
  /** What the objects that take part have wrong. */
  readonly problems: readonly { readonly object: string; readonly field: string; readonly message: string }[];
}

const most = 30;

// They would show what the proxy says of the client, or make a tunnel of it.
const refusedMethods = new Set(["TRACE", "CONNECT"]);
/** Rank of routes for other hosts: they are shown for who mistyped a name, and take no part. */
const elsewhere = 9;

/** Where a request goes and why, by the model that data planes make true. Pure. */
export function traceRequest(
  { model, problems }: Pick<Translation, "model" | "problems">,
  question: RequestQuestion,
): RequestTrace {
  const { url, method } = question;
  const secure = url.protocol === "https:";
  const authority = question.headers["host"] ?? url.host;
  const raw = question.path ?? url.pathname;
  const request = { method, host: authority, path: raw, scheme: secure ? "https" : "http" };
  const port = Number(url.port || (secure ? 443 : 80));
  const listener = listenerFor(model.listeners, port, secure);
  const none = { request, candidates: [], more: 0, filters: [], backends: [], problems: [] } as const;
  if (!listener) {
    const ports = model.listeners.map((each) => `${each.port} (${each.protocol})`).join(", ");
    return {
      ...none,
      verdict: "refuse",
      reason: `no listener has port ${port} for ${request.scheme}: there are ${ports}`,
    };
  }
  const view: RequestView = {
    host: authority,
    path: raw,
    query: url.search,
    method,
    header: (name) => question.headers[name],
    serverName: secure ? url.hostname : undefined,
  };
  if (refusedMethods.has(method)) {
    const reason = `the method ${method} is served by no data plane`;
    return { ...none, listener: { name: listener.name, port: listener.port }, verdict: "refuse", status: 405, reason };
  }
  const found = matchOn(listener, view);
  const chosen = found.outcome === "route" ? found.route : undefined;
  const { candidates, more, involved } = candidatesOf(listener, view, chosen);
  const shown = secure ? certificateFor(listener, url.hostname) : undefined;
  const base = {
    request,
    listener: { name: listener.name, port: listener.port },
    ...(shown ? { certificate: { secret: textOf(shown.secret), ...owner(shown.owner) } } : {}),
    candidates,
    more,
    problems: problems
      .filter(({ object, field }) => involved.has(textOf(object)) && (secure || !field.startsWith("spec.tls")))
      .map(({ object, field, message }) => ({ object: textOf(object), field, message })),
  };
  if (found.outcome !== "route") {
    const status = found.outcome === "refused" ? 400 : found.outcome === "misdirected" ? 421 : 404;
    return { ...base, filters: [], backends: [], verdict: "refuse", status, reason: found.why };
  }
  const asked: AskedRequest = {
    host: authority,
    path: raw,
    query: url.search,
    method,
    headers: question.headers,
    listener: listener.name,
    scheme: secure ? "https" : "http",
    ...(secure ? { serverName: url.hostname } : {}),
  };
  const { rule } = found.route;
  const total = rule.backends.reduce((sum, { weight }) => sum + weight, 0);
  const { canary } = rule;
  const share = canary ? canaryShare(canary, (name) => view.header(name)) : 0;
  const canaryPool = canary && model.pools.get(canary.pool);
  const pools = [
    ...poolsOf(model, found.route).map(({ pool, weight }) => ({ pool, odds: (weight / total) * (1 - share) })),
    ...(canaryPool ? [{ pool: canaryPool, odds: share }] : []),
  ];
  const backends = pools.map(({ pool, odds }): TracedBackend => {
    const ready = pool.endpoints.filter((endpoint) => endpoint.ready).length;
    return {
      service: `${pool.service.namespace}/${pool.service.name}`,
      port: pool.port,
      odds,
      endpoints: pool.endpoints.map(({ address, port: number, ready: isReady }) => ({
        address,
        port: number,
        odds: isReady ? odds / ready : 0,
        ready: isReady,
      })),
      ...(pool.absent ? { absent: pool.absent } : {}),
    };
  });
  return {
    ...base,
    filters: rule.filters.map(wordsOf),
    backends,
    ...ending(outcomeOf(model, asked), backends),
  };
}

function ending(
  outcome: Outcome,
  backends: readonly TracedBackend[],
): Pick<RequestTrace, "verdict" | "status" | "reason"> {
  if (outcome.kind === "redirect")
    return {
      verdict: "answer",
      status: outcome.status,
      reason: `a filter answers it with a redirect to ${outcome.location}`,
    };
  if (outcome.kind === "answer" && backends.length > 0)
    return { verdict: "answer", status: outcome.status, reason: outcome.why };
  const live = backends.filter(({ endpoints }) => endpoints.some(({ ready }) => ready));
  const count = live.reduce((sum, { endpoints }) => sum + endpoints.filter(({ ready }) => ready).length, 0);
  if (backends.length === 0)
    return { verdict: "answer", status: 500, reason: "its rule has no backend that can be used" };
  if (live.length === 0) {
    const absent = backends.find((backend) => backend.absent !== undefined)?.absent;
    const services = backends.map(({ service }) => `Service ${service}`).join(", ");
    return { verdict: "answer", status: 503, reason: absent ?? `no endpoint of ${services} is ready` };
  }
  return { verdict: "forward", reason: count === 1 ? "there is one endpoint to go to" : `one of ${count} endpoints` };
}

const owner = ({ object, field }: Owner) => ({ object: textOf(object), field });

/** By the port; where nobody listens on it, none. */
function listenerFor(listeners: readonly Listener[], port: number, secure: boolean): Listener | undefined {
  return listeners.find((each) => each.port === port && (each.protocol === "HTTP") !== secure);
}

/** Routes in the order in which they are looked at: those of hosts that could have a say (`involved`: their objects), then those of other hosts. */
function candidatesOf(listener: Listener, view: RequestView, chosen: Route | undefined) {
  const host = canonicalHost(view.host) ?? "";
  const path = canonicalPath(view.path);
  const canonical = typeof path === "string" ? path : undefined;
  const server = serverFor(listener, host);
  const isIngress = server?.kind === "http" && server.hosts.semantics === "Ingress";
  const mostSpecific = server?.kind === "http" ? hostInCharge(server.hosts, host) : undefined;
  const list = [...new Set(routesOf(listener))].map((route) => {
    const { taken, why, rank } = judge(route);
    const text = [
      route.host || "any host",
      route.path ? `${route.path.type} ${route.path.value || "/"}` : "default backend",
      ...(route.method ? [route.method] : []),
      ...route.headers.map(({ name, value }) => `${name}: ${value}`),
      ...route.query.map(({ name, value }) => `?${name}=${value}`),
    ].join(" ");
    return { candidate: { route: text, ...owner(route.owner), taken, why }, rank };
  });
  list.sort((a, b) => a.rank - b.rank);
  const shown = list.slice(0, most);
  return {
    candidates: shown.map(({ candidate }) => candidate),
    more: list.length - shown.length,
    involved: new Set(shown.filter(({ rank }) => rank < elsewhere).map(({ candidate }) => candidate.object)),
  };

  function judge(route: Route): { taken: boolean; why: string; rank: number } {
    const no = (why: string, rank: number) => ({ taken: false, why, rank });
    if (route === chosen) return { taken: true, why: "taken", rank: 0 };
    if (route.host !== "" && !coversHost(route.host, host, isIngress))
      return no(`host: ${host || "(none)"} is not ${route.host}`, elsewhere);
    // A default backend without a host is asked last, whatever host has rules.
    if (isIngress && route.path && mostSpecific !== undefined && route.host !== mostSpecific)
      return no(`host: ${mostSpecific || "any host"} is more specific and decides alone`, 8);
    if (canonical === undefined) return no("the path has no clear meaning", 7);
    if (route.path && !coversPath(route.path, canonical))
      return no(`path: ${canonical} ${notThere[route.path.type]} ${route.path.value || "/"}`, 6);
    if (route.method !== undefined && route.method !== view.method)
      return no(`method: ${view.method} is not ${route.method}`, 5);
    for (const { name, type, value } of route.headers) {
      const has = view.header(name);
      if (has === undefined) return no(`header: there is no ${name}`, 4);
      if (type === "Exact" && has !== value) return no(`header: ${name} is not ${value}`, 4);
    }
    const query = new URLSearchParams(view.query);
    for (const { name, type, value } of route.query) {
      const has = query.get(name);
      if (has === null) return no(`query: there is no ${name}`, 3);
      if (type === "Exact" && has !== value) return no(`query: ${name} is not ${value}`, 3);
    }
    return no(chosen ? `it would match, but ${rather(chosen, route)}` : "it does not match", 1);
  }
}

/** Why one of two routes that both match comes first. */
function rather(winner: Route, loser: Route): string {
  const name = textOf(winner.owner.object);
  if (winner.host !== loser.host) return `host ${winner.host || "any"} of ${name} is more specific`;
  if (!loser.path) return "a path comes before a default backend";
  if (winner.path?.type !== loser.path.type)
    return `${winner.path?.type ?? "its path"} comes before ${loser.path.type}`;
  if ((winner.path?.value.length ?? 0) > loser.path.value.length)
    return `the longer path ${winner.path?.value ?? ""} comes first`;
  if (winner.method !== undefined && loser.method === undefined) return "a route with a method comes first";
  if (winner.headers.length > loser.headers.length) return "more header fields come first";
  if (winner.query.length > loser.query.length) return "more query parameters come first";
  return `${name} (${winner.owner.field}) is older`;
}

const notThere = { Prefix: "is not below", Exact: "is not the same as", RegularExpression: "does not match" } as const;

/** The most specific host of an Ingress table that covers a name. */
function hostInCharge({ exact, wildcard, any }: HostTable, host: string): string | undefined {
  if (exact.has(host)) return host;
  const dot = host.indexOf(".");
  if (dot > 0 && wildcard.has(host.slice(dot))) return `*${host.slice(dot)}`;
  return any ? "" : undefined;
}

function coversHost(pattern: string, host: string, oneLabel: boolean): boolean {
  if (!pattern.startsWith("*.")) return pattern === host;
  const suffix = pattern.slice(1);
  if (!host.endsWith(suffix) || host.length === suffix.length) return false;
  return !oneLabel || !host.slice(0, -suffix.length).includes(".");
}

function coversPath({ type, value }: NonNullable<Route["path"]>, path: string): boolean {
  if (type === "Exact") return path === value;
  if (type === "Prefix") return path === value || path.startsWith(`${value}/`);
  return wholePattern(value)?.test(path) ?? false;
}

/** A filter in a few words: its type, and what it says. */
function wordsOf(filter: Filter): string {
  const { type, ...rest } = filter;
  return `${type} ${JSON.stringify(rest)}`;
}
