import type { Filter } from "./filters.ts";
import type { Affinity, Canary, TemplateHeaders } from "./policies.ts";
import type { Template } from "./template.ts";

/** Names an object in the API. `namespace` is absent for cluster-scoped kinds. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

/** The object and the field that an element of the model came from. `field` is "" for the object as a whole. */
export interface Owner {
  readonly object: ObjectRef;
  readonly field: string;
}

/** Where requests can be sent. */
export interface Endpoint {
  /** IPv4 or IPv6 address, without brackets. */
  readonly address: string;
  readonly port: number;
  /** Gets new requests. One that is shutting down only when no other is left. */
  readonly ready: boolean;
  readonly owner: Owner;
}

/** How a pool's endpoints are spoken to. `tcp` and `udp` carry bytes that nobody looks into. */
export type BackendProtocol = "http" | "h2c" | "tcp" | "udp";

/** A name that a backend's certificate must have, beside what its chain must be. */
export interface SubjectAltName {
  readonly type: "Hostname" | "URI";
  readonly value: string;
}

/** TLS to a pool's endpoints (BackendTLSPolicy). Whoever can not do it must not send anything in clear. */
export interface BackendTls {
  /** Sent as SNI; and the name that the certificate must have, unless `subjectAltNames` says otherwise. */
  readonly serverName: string;
  /** One of these is enough. Empty: `serverName`. */
  readonly subjectAltNames: readonly SubjectAltName[];
  /** PEM of the authorities that are trusted; `System` for those of the machine. */
  readonly authorities: string;
  /** True: whoever answers is trusted, and `serverName` is only asked for; "" asks for none. As ingress-nginx does unless told otherwise. */
  readonly unverified?: boolean;
  /** Most authorities between the endpoint's certificate and one that is trusted. Default: any number. */
  readonly depth?: number;
  /** What the data plane shows of itself. */
  readonly client?: Certificate;
}

/**
 * Who of a pool's endpoints gets a request or a connection: the next in turn, the one with the fewest under way, the first that is not
 * full, or for each client address always the same. Without a word a data plane takes what it does best.
 */
export type Balance = "roundrobin" | "leastconn" | "first" | "source";

/** One port of one Service, and the endpoints behind it. */
export interface Pool {
  /** Unique in a model. */
  readonly key: string;
  readonly service: { readonly namespace: string; readonly name: string };
  /** Port as a route named it: a number or a name. */
  readonly port: string;
  readonly protocol: BackendProtocol;
  readonly tls?: BackendTls;
  readonly balance?: Balance;
  /** Version of the PROXY protocol by which endpoints are told who the client is. Pools of `tcp` only. */
  readonly proxyProtocol?: 1 | 2;
  readonly endpoints: readonly Endpoint[];
  /** Why there can be no endpoints: the Service or its port does not exist, its TLS is not clear. Its requests get 503. */
  readonly absent?: string;
}

/**
 * `Prefix` matches whole path elements, `Exact` the whole path, `RegularExpression` the whole path too (syntax and
 * meaning of RE2). All are case-sensitive.
 */
export interface PathMatch {
  readonly type: "Exact" | "Prefix" | "RegularExpression";
  /** In canonical form (see `canonicalPath`); a prefix has no slash at its end, so `/` is "". An expression as it was given. */
  readonly value: string;
}

/** A header field or a query parameter that a request must have. Names of header fields are in lower case. */
export interface FieldMatch {
  readonly type: "Exact" | "RegularExpression";
  readonly name: string;
  readonly value: string;
}

/** Where a share of a rule's requests goes. */
export interface Backend {
  /** Key of its pool. Absent: the reference is no good, and its share gets 500. */
  readonly pool?: string;
  /** Share among the rule's backends; 0 gets nothing. */
  readonly weight: number;
  /** After those of the rule. */
  readonly filters: readonly Filter[];
  readonly owner: Owner;
}

/** Milliseconds; absent: the data plane's own limit. 0: none at all. */
export interface Timeouts {
  /** From the request's first byte to the last of its answer, retries included. */
  readonly request?: number;
  /** Of each attempt, until its answer begins. */
  readonly backendRequest?: number;
  /** For a connection to an endpoint. */
  readonly connect?: number;
  /** Without a byte of the answer, at its begin and in its middle. */
  readonly read?: number;
}

/** When to try again. Without it: only what was certainly not processed, on another endpoint. */
export interface Retry {
  /** Answers that ask for another try. */
  readonly codes: readonly number[];
  /** Further tries after the first. */
  readonly attempts: number;
  /** Milliseconds to wait before a further try. */
  readonly backoff: number;
  /** Absent: whatever has failed is tried again, whatever its method (GEP-1731). */
  readonly only?: RetryConditions;
}

/** What has failed that is tried again, on another endpoint as long as there is one: `proxy-next-upstream` of ingress-nginx. */
export interface RetryConditions {
  /** No connection, or one that was lost before the answer; an endpoint that was too slow; an answer that is no HTTP. */
  readonly failures: readonly RetryFailure[];
  /** Also requests whose methods are not idempotent (RFC 9110 section 9.2.2), when they may have been processed. */
  readonly nonIdempotent: boolean;
  /** Milliseconds after the first try, from which on there is no further one. 0: no limit. */
  readonly within: number;
}

export type RetryFailure = "error" | "timeout" | "invalid";

/** Bytes of a body that is held so that it can be sent again, where its size is said before it. Others are sent once. */
export const heldBodyBytes = 8 << 10;

/** What happens to requests: shared by all routes that one rule of an object makes. */
export interface Rule {
  /** Unique in a model. */
  readonly id: string;
  /** Name that the object gives it. */
  readonly name?: string;
  readonly filters: readonly Filter[];
  /** None, or none with a weight: 500, unless a filter answers. */
  readonly backends: readonly Backend[];
  readonly timeouts: Timeouts;
  readonly retry?: Retry;
  /** A client stays with its endpoint. */
  readonly affinity?: Affinity;
  /** Requests with the same text go to the same endpoint (consistent hashing). */
  readonly hashBy?: Template;
  /** With `hashBy`: those requests go to so many endpoints in turn. Default: to one. */
  readonly hashSubset?: number;
  /** Takes some requests before `backends` are asked. */
  readonly canary?: Canary;
  /** Pool for requests whose pool has no endpoint. */
  readonly fallbackPool?: string;
  /** What that pool is told of the request. */
  readonly fallbackFields?: TemplateHeaders;
  /** Its requests have no line in the access log. */
  readonly unlogged?: true;
  /** Limits that hold though nobody has said them: of a data plane that cannot do them nothing is told. */
  readonly unsaid?: readonly ("BodyLimit" | "ConnectTimeout")[];
  /** What their spans are called; of the request it says the method alone. Default: method and path of the route. */
  readonly spanName?: Template;
  readonly owner: Owner;
}

/** One match of one rule. */
export interface Route {
  /** Unique in a listener, and the same as long as owner, host and match are. */
  readonly id: string;
  /** "" for any host; `*.example.com` for a wildcard. */
  readonly host: string;
  /** Absent: a default backend, for what no path matches. */
  readonly path?: PathMatch;
  readonly method?: string;
  readonly headers: readonly FieldMatch[];
  readonly query: readonly FieldMatch[];
  readonly rule: Rule;
  readonly owner: Owner;
}

/** The routes of one host. Routes of one path come in the order in which they are tried. */
export interface HostRoutes {
  /** Keyed by the path's canonical value. */
  readonly exact: ReadonlyMap<string, readonly Route[]>;
  /** In the order in which they are tried: after exact paths, before prefixes; the longest expression first. */
  readonly regex: readonly Route[];
  /** Keyed by the path's canonical value. */
  readonly prefix: ReadonlyMap<string, readonly Route[]>;
  /** Length of the longest key in `prefix`. */
  readonly longestPrefix: number;
  /** Default backend for requests to this host that no path matches. */
  readonly fallback?: Route;
  /** Empty segments of a path count as one slash, matched and forwarded. */
  readonly mergeSlashes?: boolean;
}

/**
 * Ingress: a wildcard covers one label, and the most specific host decides alone. Gateway API: it covers one or more, and
 * what the rules of a host do not match goes on to those of a less specific one.
 */
export type HostSemantics = "Ingress" | "Gateway";

export interface HostTable {
  readonly semantics: HostSemantics;
  readonly exact: ReadonlyMap<string, HostRoutes>;
  /** Keyed by what follows the asterisk, with its dot: `.example.com`. */
  readonly wildcard: ReadonlyMap<string, HostRoutes>;
  /** For hosts that neither table has. */
  readonly any?: HostRoutes;
  /** Default backend for what nothing else takes. */
  readonly fallback?: Route;
}

/** Which certificate a TLS peer gets. The key pair itself is not part of the model, only where it is. */
export interface Certificate {
  /** Server name (SNI); `*.example.com` covers one label; "" any name that no other certificate has. */
  readonly hostname: string;
  readonly secret: ObjectRef;
  /** Changes whenever the key pair does. */
  readonly version: string;
  readonly owner: Owner;
}

/** What clients must show of themselves (Gateway `spec.tls.frontend`). */
export interface ClientValidation {
  /**
   * `AllowInsecureFallback`: a certificate is asked for, and whoever has none or a bad one is served all the same. `Ask`: it is looked
   * at too, and the routes' filters (`ClientCertificate`) say who is served.
   */
  readonly mode: "AllowValidOnly" | "AllowInsecureFallback" | "Ask";
  /** PEM of the authorities that are trusted. */
  readonly authorities: string;
  /** PEM of their revocation lists. */
  readonly revoked?: string;
}

/** TLS that ends at the data plane. */
export interface Termination {
  /** By `Certificate.hostname`. */
  readonly certificates: ReadonlyMap<string, Certificate>;
  readonly clients?: ClientValidation;
}

/** Where a share of connections or datagrams goes, whatever they carry. */
export interface StreamRoute {
  readonly id: string;
  /** "" for any server name; `*.example.com` for a wildcard. Always "" without TLS. */
  readonly host: string;
  readonly rule: Rule;
  readonly owner: Owner;
}

/** By server name; a wildcard, keyed by `.example.com`, covers one or more labels. */
export interface StreamTable {
  readonly exact: ReadonlyMap<string, StreamRoute>;
  readonly wildcard: ReadonlyMap<string, StreamRoute>;
  readonly any?: StreamRoute;
}

interface ServerBase {
  /** "" for any name; `*.example.com` covers one or more labels. */
  readonly hostname: string;
  /** Present: TLS ends here. Absent on a TLS port: it is passed through. */
  readonly tls?: Termination;
  readonly owner: Owner;
}

/**
 * What a port serves for some names: a listener of a Gateway. The most specific `hostname` has a request alone (HTTP
 * listener isolation). On `HTTP` the name is that of the Host header. With TLS it is the server name (SNI), and a request
 * whose Host header belongs to another server is misdirected: 421.
 */
export type Server =
  | (ServerBase & { readonly kind: "http"; readonly hosts: HostTable })
  | (ServerBase & { readonly kind: "stream"; readonly streams: StreamTable });

/** HTTPS: every server ends TLS and speaks HTTP. TLS: some do not, so the server name must be read before. */
export type ListenerProtocol = "HTTP" | "HTTPS" | "TLS" | "TCP" | "UDP";

/** A port that clients connect to. */
export interface Listener {
  /** Unique in a model. */
  readonly name: string;
  /** Port as clients see it. */
  readonly port: number;
  /** The only address it answers on. Default: what the data plane was told. */
  readonly address?: string;
  /** Port that the data plane opens, when something before it leads there from `port`. */
  readonly bindPort?: number;
  readonly protocol: ListenerProtocol;
  /** By `Server.hostname`; never empty. TCP and UDP have one, "". */
  readonly servers: ReadonlyMap<string, Server>;
  /**
   * By whole server name, where connections go that want to see a proof of it by TLS-ALPN-01 (`challengeFor`); they are not opened, whatever
   * else the name is. On HTTPS and TLS only. Absent: nobody proves names so here, and no connection need be looked at for it.
   */
  readonly challenges?: ReadonlyMap<string, StreamRoute>;
}

/** What the objects mean, for any data plane. A value: never changed once made. */
export interface RoutingModel {
  readonly listeners: readonly Listener[];
  readonly pools: ReadonlyMap<string, Pool>;
}

/** All routes of a host, each once. */
export function* routesOfHost({ exact, regex, prefix, fallback }: HostRoutes): Generator<Route> {
  for (const routes of exact.values()) yield* routes;
  yield* regex;
  for (const routes of prefix.values()) yield* routes;
  if (fallback) yield fallback;
}

/** All routes of a listener for HTTP, each once. */
export function* routesOf(listener: Listener): Generator<Route> {
  for (const server of listener.servers.values()) {
    if (server.kind !== "http") continue;
    const { exact, wildcard, any, fallback } = server.hosts;
    for (const host of [...exact.values(), ...wildcard.values(), ...(any ? [any] : [])]) yield* routesOfHost(host);
    if (fallback) yield fallback;
  }
}

/** All routes of a listener for streams and datagrams, each once. */
export function* streamsOf(listener: Listener): Generator<StreamRoute> {
  for (const server of listener.servers.values()) {
    if (server.kind !== "stream") continue;
    yield* server.streams.exact.values();
    yield* server.streams.wildcard.values();
    if (server.streams.any) yield server.streams.any;
  }
}

/** All certificates of a listener. */
export function* certificatesOf(listener: Listener): Generator<Certificate> {
  for (const { tls } of listener.servers.values()) if (tls) yield* tls.certificates.values();
}
