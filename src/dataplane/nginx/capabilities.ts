import { routesOf, type RoutingModel, type Termination } from "../../routing/index.ts";
import { annotationFeatures, basicFeatures } from "../common-features.ts";
import type { Feature, Refusal } from "../dataplane.ts";
import { refusalsOf } from "../features.ts";

/** What nginx 1.22 with its Lua module does. README.md says why not the rest. */
export const capabilities: ReadonlySet<Feature> = new Set<Feature>([
  ...basicFeatures,
  "HTTPRoute",
  "GatewayHTTPListenerIsolation",
  "GatewayHTTPSListenerDetectMisdirectedRequests",
  "HTTPRoute303RedirectStatusCode",
  "HTTPRoute307RedirectStatusCode",
  "HTTPRoute308RedirectStatusCode",
  "HTTPRouteBackendProtocolH2C",
  "HTTPRouteBackendProtocolWebSocket",
  "HTTPRouteBackendRequestHeaderModification",
  "HTTPRouteBackendTimeout",
  "HTTPRouteCORS",
  "HTTPRouteHostRewrite",
  "HTTPRouteMethodMatching",
  "HTTPRoutePathRedirect",
  "HTTPRoutePathRewrite",
  "HTTPRoutePortRedirect",
  "HTTPRouteQueryParamMatching",
  "HTTPRouteRequestMirror",
  "HTTPRouteRequestMultipleMirrors",
  "HTTPRouteRequestPercentageMirror",
  "HTTPRouteRequestTimeout",
  "HTTPRouteResponseHeaderModification",
  "HTTPRouteSchemeRedirect",
  ...annotationFeatures,
]);

/** The routes of a model that are not served, with what is missing. */
export function refusedBy(model: RoutingModel): Refusal[] {
  const refused = refusalsOf(model, capabilities);
  for (const listener of model.listeners)
    for (const server of listener.servers.values()) {
      const feature = server.tls && unasked(server.tls);
      if (feature === undefined) continue;
      for (const { id } of routesOf({ ...listener, servers: new Map([[server.hostname, server]]) }))
        refused.push({ route: id, feature });
    }
  return refused;
}

/** What a server wants of its clients' certificates and would not get: no handshake fails here, and nobody looks into revocation lists. */
function unasked({ clients }: Termination): Feature | undefined {
  if (!clients) return undefined;
  if (clients.mode !== "Ask") return "GatewayFrontendClientCertificateValidation";
  return clients.revoked === undefined ? undefined : "ClientCertificate";
}
