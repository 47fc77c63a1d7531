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

/** How a pool's endpoints are spoken to. */
export type BackendProtocol = "http" | "h2c";

/** One port of one Service, and the endpoints behind it. */
export interface Pool {
  /** `namespace/name:port`, unique in a model. */
  readonly key: string;
  readonly service: { readonly namespace: string; readonly name: string };
  /** Port as a route named it: a number or a name. */
  readonly port: string;
  readonly protocol: BackendProtocol;
  readonly endpoints: readonly Endpoint[];
  /** Why there can be no endpoints: the Service or its port does not exist. Its requests get 503. */
  readonly absent?: string;
}

/** `Prefix` matches whole path elements; `Exact` the whole path. Both are case-sensitive. */
export interface PathMatch {
  readonly type: "Exact" | "Prefix";
  /** In canonical form (see `canonicalPath`); a prefix has no slash at its end, so `/` is "". */
  readonly value: string;
}

export interface Route {
  /** Unique in a model, and the same as long as owner, host and path are. */
  readonly id: string;
  /** "" for any host; `*.example.com` for a wildcard. */
  readonly host: string;
  /** Absent: a default backend, for what no path matches. */
  readonly path?: PathMatch;
  /** Key of its pool. */
  readonly pool: string;
  readonly owner: Owner;
}

/** The routes of one host. Each table is keyed by the path's canonical value. */
export interface HostRoutes {
  readonly exact: ReadonlyMap<string, Route>;
  readonly prefix: ReadonlyMap<string, Route>;
  /** Length of the longest key in `prefix`. */
  readonly longestPrefix: number;
  /** Default backend for requests to this host that no path matches. */
  readonly fallback?: Route;
}

export interface HostTable {
  readonly exact: ReadonlyMap<string, HostRoutes>;
  /** Keyed by what follows the asterisk, with its dot: `.example.com`. Covers exactly one label. */
  readonly wildcard: ReadonlyMap<string, HostRoutes>;
  /** For hosts that neither table has. */
  readonly any?: HostRoutes;
  /** Default backend for what nothing else takes. */
  readonly fallback?: Route;
}

/** Which certificate a TLS client gets. The key pair itself is not part of the model, only where it is. */
export interface Certificate {
  /** Server name (SNI); `*.example.com` covers one label; "" any name that no other certificate has. */
  readonly hostname: string;
  readonly secret: ObjectRef;
  /** Changes whenever the key pair does. */
  readonly version: string;
  readonly owner: Owner;
}

/** A port that clients connect to. */
export interface Listener {
  /** Unique in a model. */
  readonly name: string;
  readonly port: number;
  readonly protocol: "HTTP" | "HTTPS";
  /** By `Certificate.hostname`. Empty for HTTP. */
  readonly certificates: ReadonlyMap<string, Certificate>;
  readonly hosts: HostTable;
}

/** What the objects mean, for any data plane. A value: never changed once made. */
export interface RoutingModel {
  readonly listeners: readonly Listener[];
  readonly pools: ReadonlyMap<string, Pool>;
}

/** All routes of a listener, each once. */
export function* routesOf(listener: Listener): Generator<Route> {
  const { exact, wildcard, any, fallback } = listener.hosts;
  for (const host of [...exact.values(), ...wildcard.values(), ...(any ? [any] : [])]) {
    yield* host.exact.values();
    yield* host.prefix.values();
    if (host.fallback) yield host.fallback;
  }
  if (fallback) yield fallback;
}
