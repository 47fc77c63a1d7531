import type { Certificate, ListenerProtocol, Pool, RoutingModel, UsersSecret } from "../routing/index.ts";
import type { Component } from "../system/index.ts";

/**
 * What a data plane may or may not be able to do; a route needs some of them. Where the Gateway API has a name for a
 * feature it is that one (`SupportedFeature`), and GatewayClasses say so in their status.
 */
export type Feature =
  // Names of our own
  | "ExactPath"
  | "PrefixPath"
  | "RegularExpression"
  | "HeaderMatching"
  | "WildcardHost"
  | "DefaultBackend"
  | "TLSTermination"
  | "HTTP2"
  /** Clients may speak HTTP/2 without TLS. */
  | "CleartextHTTP2"
  | "Weights"
  | "Redirect"
  | "RequestHeaderModification"
  // What ingress-nginx can do besides: filters and rules of those names (`PolicyFilter`)
  | "RegexRewrite"
  | "TemplateHeaders"
  | "AnswerRewrite"
  | "StrictTransport"
  | "SslRedirect"
  | "Tracing"
  | "UrlRedirect"
  | "SourceRanges"
  | "BasicAuth"
  | "DigestAuth"
  | "ClientCertificate"
  | "ExternalAuth"
  | "RateLimit"
  | "ConnectionLimit"
  | "BodyLimit"
  | "AnswerRate"
  | "CloseConnection"
  | "ErrorPages"
  | "SessionCookie"
  | "HashBalancing"
  | "Canary"
  | "FallbackPool"
  | "UnverifiedBackendTls"
  /** `BackendTls.depth` */
  | "BackendChainDepth"
  | "ConnectTimeout"
  | "ReadTimeout"
  | "MergedSlashes"
  /** `Retry.only`; where one says how long; where one has the code 429. */
  | "NextUpstream"
  | "NextUpstreamTimeout"
  | "NextUpstream429"
  /** `Pool.balance`, `Pool.proxyProtocol`, `Listener.address` */
  | "BalanceAlgorithm"
  | "ProxyProtocol"
  | "ListenerAddress"
  // Kinds of the Gateway API
  | "HTTPRoute"
  | "GRPCRoute"
  | "TLSRoute"
  | "TCPRoute"
  | "UDPRoute"
  | "BackendTLSPolicy"
  // Its extended features
  | "BackendTLSPolicySANValidation"
  | "GatewayBackendClientCertificate"
  | "GatewayFrontendClientCertificateValidation"
  | "GatewayFrontendClientCertificateValidationInsecureFallback"
  | "GatewayHTTPListenerIsolation"
  | "GatewayHTTPSListenerDetectMisdirectedRequests"
  | "HTTPRoute303RedirectStatusCode"
  | "HTTPRoute307RedirectStatusCode"
  | "HTTPRoute308RedirectStatusCode"
  | "HTTPRouteBackendProtocolH2C"
  | "HTTPRouteBackendProtocolWebSocket"
  | "HTTPRouteBackendRequestHeaderModification"
  | "HTTPRouteBackendTimeout"
  | "HTTPRouteCORS"
  | "HTTPRouteHostRewrite"
  | "HTTPRouteMethodMatching"
  | "HTTPRoutePathRedirect"
  | "HTTPRoutePathRewrite"
  | "HTTPRoutePortRedirect"
  | "HTTPRouteQueryParamMatching"
  | "HTTPRouteRequestMirror"
  | "HTTPRouteRequestMultipleMirrors"
  | "HTTPRouteRequestPercentageMirror"
  | "HTTPRouteRequestTimeout"
  | "HTTPRouteResponseHeaderModification"
  | "HTTPRouteRetry"
  | "HTTPRouteRetryBackendTimeout"
  | "HTTPRouteRetryConnectionError"
  | "HTTPRouteSchemeRedirect"
  | "TLSRouteModeTerminate"
  | "TLSRouteModeMixed";

/** PEM, the chain with the server's certificate first. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** All that a data plane is told. Key pairs are handed over on request, so that the model holds no secrets. */
export interface Configuration {
  readonly model: RoutingModel;
  /** `undefined`: gone meanwhile; the default certificate is served. */
  readonly keyPair: (certificate: Certificate) => KeyPair | undefined;
  /** Users of `BasicAuth`, by name, with what their password is checked by. Absent, or `undefined`: nobody is let in. */
  readonly users?: (secret: UsersSecret) => ReadonlyMap<string, string> | undefined;
}

/** A route that the data plane does not serve, and why. */
export interface Refusal {
  /** `Route.id` */
  readonly route: string;
  readonly feature: Feature;
}

/** What became of a configuration. All routes that are not refused are served from now on. */
export interface Realised {
  readonly refused: readonly Refusal[];
}

/** A listener as it really is. */
export interface BoundListener {
  /** `Listener.name` */
  readonly name: string;
  readonly protocol: ListenerProtocol;
  /** `Listener.address` */
  readonly address?: string;
  /** Port that the model asks for. */
  readonly wanted: number;
  /** Port that answers: another one when `wanted` could not be had, none with `error`. */
  readonly port?: number;
  /** Why it is not the wanted port, for people. */
  readonly error?: string;
}

/**
 * Something that serves a routing model. A change of configuration drops no request and no connection: requests in
 * flight end as they began, and new ones follow the new configuration.
 */
export interface DataPlane extends Component {
  readonly capabilities: ReadonlySet<Feature>;
  /** Resolves when new requests follow `configuration`. */
  apply(configuration: Configuration): Promise<Realised>;
  /** Replaces some pools of the model that was applied last; keys that it does not have are ignored. */
  updatePools(pools: readonly Pool[]): Promise<void>;
  listeners(): readonly BoundListener[];
  /**
   * Another data plane serves from now on: takes no new connection, and lets those that are there end by themselves: HTTP/1.1 with its next answer,
   * HTTP/2 when its streams are done, tunnels and streams when their ends wish it. Settles when the last one has ended, `patience` milliseconds later
   * at the latest. What is applied afterwards reaches at most those connections.
   */
  retire(patience: number): Promise<void>;
}
