import { type Listener, routesOf, type RoutingModel, streamsOf } from "../../routing/index.ts";
import { annotationFeatures, basicFeatures, gatewayFeatures } from "../common-features.ts";
import type { Feature, Refusal } from "../dataplane.ts";
import { refusalsOf } from "../features.ts";
import { retrySetsOf } from "../retry-sets.ts";

/** What nginx 1.22 with its Lua module does. README.md says why not the rest. */
export const capabilities: ReadonlySet<Feature> = new Set<Feature>([
  ...basicFeatures,
  ...gatewayFeatures,
  ...annotationFeatures,
  "NextUpstreamTimeout",
  "NextUpstream429",
  // CleartextHTTP2 where a Gateway's routes lead to endpoints that speak it: njs reads how a connection begins. ProxyProtocol of version 1, where
  // all that a port leads to asks for it. No BackendTLSPolicySANValidation: `proxy_ssl_name` knows no list, and no URIs.
  "BodyLimit",
  "ConnectTimeout",
  "AnswerRate",
  "BackendChainDepth",
  "UDPRoute",
  "TLSRouteModeMixed",
  "TLSRouteModeTerminate",
  "GatewayBackendClientCertificate",
]);

/** The same where nginx has no modules for streams. */
export const capabilitiesForHttp: ReadonlySet<Feature> = new Set(
  [...capabilities].filter((feature) => !/^(?:GRPC|TLS|TCP|UDP)Route|^ProxyProtocol$|^CleartextHTTP2$/.test(feature)),
);

/** The routes of a model that are not served, with what is missing. */
export function refusedBy({ listeners, pools }: RoutingModel, can = capabilities, hasForwarders = false): Refusal[] {
  const refused = [...refusalsOf({ listeners, pools }, can), ...retrySetsOf(listeners).refused];
  for (const listener of listeners) {
    for (const each of refusedStreams(listener, pools)) refused.push(each);
    if (!hasForwarders || listener.protocol !== "TLS") continue;
    // Who serves HTTP inside is told its client by the PROXY protocol alone: that is the forwarder.
    for (const { id, rule } of routesOf(listener))
      for (const { type } of rule.filters)
        if (byClient.has(type)) refused.push({ route: id, feature: type as Feature });
  }
  return refused;
}

/** Filters that ask for the client's address. */
const byClient: ReadonlySet<string> = new Set<Feature>(["SourceRanges", "RateLimit", "ConnectionLimit"]);

/** What a connection's bytes are wrapped in is said by the port, and never depends on where it goes. */
function refusedStreams(listener: Listener, pools: RoutingModel["pools"]): Refusal[] {
  const routes = [...streamsOf(listener)];
  const asked = routes.map(({ id, rule }) => ({
    id,
    pools: rule.backends.flatMap(({ pool }) => (pool === undefined ? [] : (pools.get(pool) ?? []))),
  }));
  const versions = new Set(asked.flatMap((route) => route.pools.map(({ proxyProtocol }) => proxyProtocol)));
  const servers = [...listener.servers.values()];
  // Who goes on inside no longer has the client's own connection.
  const inside = listener.protocol === "TLS" && servers.some(({ tls }) => tls);
  const wraps = versions.size < 2 && !versions.has(2) && !(inside && versions.has(1));
  const asksClients = servers.some(({ kind, tls }) => kind === "stream" && tls?.clients);
  return asked.flatMap(({ id, pools: all }) => [
    ...(wraps ? [] : [{ route: id, feature: "ProxyProtocol" as const }]),
    ...(all.some(({ tls }) => tls) ? [{ route: id, feature: "BackendTLSPolicy" as const }] : []),
    ...(asksClients ? [{ route: id, feature: "GatewayFrontendClientCertificateValidation" as const }] : []),
  ]);
}
