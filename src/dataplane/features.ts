import {
  type Filter,
  gather,
  type HostRoutes,
  type Listener,
  type ListenerProtocol,
  type Pool,
  type Retry,
  type Route,
  routesOfHost,
  type RoutingModel,
  type Rule,
  type StreamRoute,
  streamsOf,
} from "../routing/index.ts";
import type { Feature, Refusal } from "./dataplane.ts";
import { gatherHosts, hostsOf } from "./hosts.ts";

type Pools = ReadonlyMap<string, Pool>;

/** What a route can be served without: its own limits take the place of the route's, and the refusal says so. All else keeps requests out. */
export const dispensable: ReadonlySet<Feature> = new Set<Feature>([
  "AnswerRate",
  // Whom a chain must lead to is checked all the same.
  "BackendChainDepth",
  "BodyLimit",
  "CloseConnection",
  "ConnectTimeout",
  "ReadTimeout",
  "MergedSlashes",
  "NextUpstream",
  "NextUpstreamTimeout",
  "NextUpstream429",
  "StrictTransport",
  "Tracing",
  "BalanceAlgorithm",
]);

/** The filters of a rule that a data plane must do, or keep the route's requests out. */
export function neededFilters(filters: readonly Filter[]): Filter[] {
  return filters.filter(({ type }) => !(dispensable as ReadonlySet<string>).has(type));
}

/** Ids of the routes that must answer 500, since something is refused that they cannot be without. */
export function keptOut(refused: readonly Refusal[]): Set<string> {
  return new Set(refused.flatMap(({ route, feature }) => (dispensable.has(feature) ? [] : [route])));
}

/** What a data plane must be able to do to serve a route. */
export function featuresOf(
  route: Route,
  listener: Pick<Listener, "protocol" | "address">,
  pools: Pools,
  mergeSlashes = false,
): Feature[] {
  const features = new Set<Feature>();
  if (!route.path) features.add("DefaultBackend");
  else if (route.path.type === "RegularExpression") features.add("RegularExpression");
  else features.add(route.path.type === "Exact" ? "ExactPath" : "PrefixPath");
  if (route.host.startsWith("*.")) features.add("WildcardHost");
  if (listener.protocol === "HTTPS" || listener.protocol === "TLS") features.add("TLSTermination");
  if (route.method !== undefined) features.add("HTTPRouteMethodMatching");
  if (route.headers.length > 0) features.add("HeaderMatching");
  if (route.query.length > 0) features.add("HTTPRouteQueryParamMatching");
  if ([...route.headers, ...route.query].some(({ type }) => type === "RegularExpression"))
    features.add("RegularExpression");
  if (listener.address !== undefined) features.add("ListenerAddress");
  addRule(features, route.rule, pools);
  for (const each of route.rule.unsaid ?? []) features.delete(each);
  if (mergeSlashes) features.add("MergedSlashes");
  return [...features];
}

/** The same for connections and datagrams. */
export function featuresOfStream(
  { rule }: StreamRoute,
  listener: Listener,
  pools: Pools,
  terminated: boolean,
): Feature[] {
  const features = new Set<Feature>(listener.address === undefined ? [] : ["ListenerAddress"]);
  for (const { pool: key } of rule.backends) {
    const pool = key === undefined ? undefined : pools.get(key);
    for (const feature of pool ? sendingFeatures(pool) : none) features.add(feature);
  }
  if (listener.protocol === "TCP") return ["TCPRoute", ...features];
  if (listener.protocol === "UDP") return ["UDPRoute", ...features];
  return ["TLSRoute", ...(terminated ? (["TLSRouteModeTerminate"] as const) : []), ...features];
}

const none: readonly Feature[] = [];

/** What a pool asks for whatever is sent to it. */
function sendingFeatures({ balance, proxyProtocol }: Pool): readonly Feature[] {
  if (balance === undefined && proxyProtocol === undefined) return none;
  return [
    ...(balance !== undefined && balance !== "leastconn" ? (["BalanceAlgorithm"] as const) : []),
    ...(proxyProtocol === undefined ? [] : (["ProxyProtocol"] as const)),
  ];
}

/** The same for requests. */
function poolFeatures(pool: Pool): readonly Feature[] {
  const { protocol, tls } = pool;
  const sending = sendingFeatures(pool);
  if (protocol !== "h2c" && !tls) return sending;
  const features: Feature[] = [...sending, ...(protocol === "h2c" ? (["HTTPRouteBackendProtocolH2C"] as const) : [])];
  if (!tls) return features;
  features.push(tls.unverified ? "UnverifiedBackendTls" : "BackendTLSPolicy");
  if (tls.depth !== undefined) features.push("BackendChainDepth");
  if (tls.client) features.push("GatewayBackendClientCertificate");
  if (tls.subjectAltNames.length > 0) features.push("BackendTLSPolicySANValidation");
  return features;
}

function addRule(features: Set<Feature>, rule: Rule, pools: Pools): void {
  if (rule.backends.length > 1) features.add("Weights");
  for (const filter of rule.filters) addFilter(features, filter, rule);
  for (const { pool: key, filters } of rule.backends) {
    const pool = key === undefined ? undefined : pools.get(key);
    for (const feature of pool ? poolFeatures(pool) : none) features.add(feature);
    for (const filter of filters) {
      addFilter(features, filter, rule);
      if (filter.type === "RequestHeaders") features.add("HTTPRouteBackendRequestHeaderModification");
    }
  }
  if (rule.timeouts.request !== undefined) features.add("HTTPRouteRequestTimeout");
  if (rule.timeouts.backendRequest !== undefined) features.add("HTTPRouteBackendTimeout");
  if (rule.retry) addRetry(features, rule.retry);
  if (rule.affinity) features.add("SessionCookie");
  if (rule.hashBy) features.add("HashBalancing");
  if (rule.canary) features.add("Canary");
  if (rule.fallbackPool !== undefined) features.add("FallbackPool");
  if (rule.timeouts.connect !== undefined) features.add("ConnectTimeout");
  if (rule.timeouts.read !== undefined) features.add("ReadTimeout");
}

function addRetry(features: Set<Feature>, { codes, only }: Retry): void {
  if (!only) return void features.add("HTTPRouteRetry");
  features.add("NextUpstream");
  if (only.within > 0) features.add("NextUpstreamTimeout");
  if (codes.includes(429)) features.add("NextUpstream429");
}

function addFilter(features: Set<Feature>, filter: Filter, rule: Rule): void {
  switch (filter.type) {
    case "RequestHeaders":
      features.add("RequestHeaderModification");
      return;
    case "ResponseHeaders":
      features.add("HTTPRouteResponseHeaderModification");
      return;
    case "Redirect": {
      const { scheme, hostname, path, port, status } = filter.redirect;
      if (scheme) features.add("HTTPRouteSchemeRedirect");
      if (hostname) features.add("Redirect");
      if (path) features.add("HTTPRoutePathRedirect");
      if (port !== undefined) features.add("HTTPRoutePortRedirect");
      if (status === 303) features.add("HTTPRoute303RedirectStatusCode");
      if (status === 307) features.add("HTTPRoute307RedirectStatusCode");
      if (status === 308) features.add("HTTPRoute308RedirectStatusCode");
      return;
    }
    case "Rewrite":
      if (filter.hostname !== undefined) features.add("HTTPRouteHostRewrite");
      if (filter.path) features.add("HTTPRoutePathRewrite");
      return;
    case "Mirror": {
      features.add("HTTPRouteRequestMirror");
      if (filter.numerator !== filter.denominator) features.add("HTTPRouteRequestPercentageMirror");
      const mirrors = [...rule.filters, ...rule.backends.flatMap(({ filters }) => filters)].filter(
        ({ type }) => type === "Mirror",
      );
      if (mirrors.length > 1) features.add("HTTPRouteRequestMultipleMirrors");
      return;
    }
    case "Cors":
      features.add("HTTPRouteCORS");
      return;
    case "Unsupported":
      return;
    default:
      features.add(filter.type);
  }
}

/** What pools ask for that not every data plane can do. */
const askedByPools = gather<string, Pool, readonly Feature[]>((pool) => {
  const features = poolFeatures(pool);
  return features.length === 0 ? undefined : features;
});

const noPools: Pools = new Map();

/** The routes of a host that are not served where its pools ask for nothing that is not there. */
const refusalsOfHosts = (capabilities: ReadonlySet<Feature>, protocol: ListenerProtocol) =>
  gatherHosts((host): readonly Refusal[] | undefined => {
    const refused = refusedRoutes(host, { protocol }, noPools, capabilities);
    return refused.length === 0 ? undefined : refused;
  });

/** The same by what a data plane can do, with TLS and without. */
const known = new WeakMap<
  ReadonlySet<Feature>,
  Readonly<Record<"HTTP" | "HTTPS", ReturnType<typeof refusalsOfHosts>>>
>();

function refusedRoutes(
  host: HostRoutes,
  listener: Pick<Listener, "protocol" | "address">,
  pools: Pools,
  capabilities: ReadonlySet<Feature>,
): Refusal[] {
  return [...routesOfHost(host)].flatMap((route) =>
    missing(route.id, featuresOf(route, listener, pools, host.mergeSlashes), capabilities),
  );
}

function missing(route: string, features: readonly Feature[], capabilities: ReadonlySet<Feature>): Refusal[] {
  return features.flatMap((feature) => (capabilities.has(feature) ? [] : [{ route, feature }]));
}

/** The routes of a model that a data plane with these capabilities does not serve. */
export function refusalsOf({ listeners, pools }: RoutingModel, capabilities: ReadonlySet<Feature>): Refusal[] {
  const refused: Refusal[] = [];
  let found = known.get(capabilities);
  if (!found) {
    found = { HTTP: refusalsOfHosts(capabilities, "HTTP"), HTTPS: refusalsOfHosts(capabilities, "HTTPS") };
    known.set(capabilities, found);
  }
  // Pools change without their hosts: what is found of hosts alone holds only while no pool asks for what is not there.
  const plain = [...askedByPools(pools).values()].every((features) => features.every((each) => capabilities.has(each)));
  for (const listener of listeners) {
    if (plain && listener.address === undefined) {
      for (const some of found[listener.protocol === "HTTP" ? "HTTP" : "HTTPS"](listener)) refused.push(...some);
    } else for (const host of hostsOf(listener)) refused.push(...refusedRoutes(host, listener, pools, capabilities));
    for (const server of listener.servers.values()) {
      if (server.kind === "http") continue;
      for (const route of streamsOf({ ...listener, servers: new Map([[server.hostname, server]]) }))
        refused.push(
          ...missing(route.id, featuresOfStream(route, listener, pools, server.tls !== undefined), capabilities),
        );
    }
  }
  return refused;
}
