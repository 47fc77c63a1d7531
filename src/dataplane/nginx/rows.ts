import {
  type Backend,
  type Canary,
  type Certificate,
  type Filter,
  type HeaderChanges,
  type HostRoutes,
  type HostTable,
  type Listener,
  type PolicyFilter,
  type Pool,
  type Route,
  routesOfHost,
  type RoutingModel,
  type Server,
  type Template,
  type UsersSecret,
} from "../../routing/index.ts";
import type { Configuration, KeyPair } from "../dataplane.ts";
import type { Limits } from "../embedded/limits.ts";
import { endpointId } from "../endpoint-id.ts";
import { rangeBits } from "../range-bits.ts";
import { bodySlot } from "./configuration.ts";
import { encodeRow, type RowValue } from "./encoding.ts";

/** Encoded rows by name. Names and values may hold any text: nothing reads them but by their length. */
export type Rows = Map<string, Buffer>;

/** What a model's rows are made of beside the model. */
export interface RowContext {
  /** Short name of a listener in rows and configuration; `undefined`: it is not served. */
  readonly idOf: (listener: Listener) => string | undefined;
  readonly keyPair: (certificate: Certificate) => KeyPair | undefined;
  /** Routes that must answer 500: something that they ask for is not done here. */
  readonly refused: ReadonlySet<string>;
  readonly users?: Configuration["users"];
  /** Milliseconds that hold without a word. */
  readonly limits: Pick<Limits, "connect" | "responseStart">;
}

/** All rows of a model. Those of pools are apart: they change most. */
export function rowsOf(model: RoutingModel, context: RowContext): Rows {
  const rows: Rows = new Map();
  for (const listener of model.listeners) {
    const id = context.idOf(listener);
    if (id !== undefined) addListener(rows, id, listener, context);
  }
  for (const pool of model.pools.values()) rows.set(poolRowName(pool.key), poolRow(pool));
  return rows;
}

export function poolRowName(key: string): string {
  return `pool/${key}`;
}

/** A pool: the addresses that get requests. */
export function poolRow({ protocol, tls, endpoints }: Pool): Buffer {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  return encodeRow({
    protocol,
    // Nothing may be sent in clear where TLS is asked for, or to whom nobody has vouched for where somebody must.
    ...(tls ? { tls: tls.unverified && !tls.client ? "unverified" : "refused", name: tls.serverName } : {}),
    endpoints: ready.map(({ address, port }) => [
      address.includes(":") ? `[${address}]` : address,
      port,
      endpointId(address, port),
    ]),
  });
}

function addListener(rows: Rows, id: string, listener: Listener, context: RowContext): void {
  const { servers, protocol, port } = listener;
  const names = [...servers.keys()];
  rows.set(
    `listener/${id}`,
    encodeRow({
      scheme: protocol === "HTTP" ? "http" : "https",
      port,
      servers: servers.size,
      names: Object.fromEntries(names.map((name) => [name, true])),
    }),
  );
  for (const server of servers.values()) addServer(rows, `${id}/${server.hostname}`, server, context);
}

function addServer(rows: Rows, at: string, server: Server, context: RowContext): void {
  const { keyPair } = context;
  const routeRow = (route: Route): RowValue => {
    for (const filter of route.rule.filters) addUsers(rows, filter, context);
    return rowOfRoute(route, context);
  };
  for (const [name, certificate] of server.tls?.certificates ?? []) {
    const pair = keyPair(certificate);
    if (pair) rows.set(`certificate/${at}/${name}`, encodeRow({ certificate: pair.certificate, key: pair.key }));
  }
  if (server.kind !== "http") return;
  const { clients } = server.tls ?? {};
  if (clients)
    rows.set(`clients/${at}`, encodeRow({ authorities: clients.authorities, depth: depthFor(server.hosts) }));
  const { semantics, exact, wildcard, any, fallback } = server.hosts;
  rows.set(
    `server/${at}`,
    encodeRow({
      semantics,
      wildcards: wildcard.size > 0,
      ...(fallback ? { fallback: routeRow(fallback) } : {}),
    }),
  );
  for (const [host, routes] of exact) rows.set(`host/${at}/${host}`, hostRow(routes, routeRow));
  for (const [suffix, routes] of wildcard) rows.set(`host/${at}/*${suffix}`, hostRow(routes, routeRow));
  if (any) rows.set(`host/${at}/`, hostRow(any, routeRow));
}

function hostRow(
  { exact, regex, prefix, longestPrefix, fallback, mergeSlashes = false }: HostRoutes,
  routeRow: (route: Route) => RowValue,
): Buffer {
  const byPath = (table: ReadonlyMap<string, readonly Route[]>): RowValue =>
    Object.fromEntries([...table].map(([path, routes]) => [`p${path}`, routes.map(routeRow)]));
  return encodeRow({
    exact: byPath(exact),
    regex: regex.map(routeRow),
    prefix: byPath(prefix),
    hasPrefix: prefix.size > 0,
    longestPrefix,
    ...(mergeSlashes ? { mergeSlashes } : {}),
    ...(fallback ? { fallback: routeRow(fallback) } : {}),
  });
}

/** Authorities between the certificate of a client and one that is trusted: the fewest that any route of the server allows. */
function depthFor({ exact, wildcard, any, fallback }: HostTable): number {
  const all = [...exact.values(), ...wildcard.values(), ...(any ? [any] : [])].flatMap((host) => [
    ...routesOfHost(host),
  ]);
  const depths = [...all, ...(fallback ? [fallback] : [])].flatMap(({ rule }) =>
    rule.filters.flatMap((filter) => (filter.type === "ClientCertificate" ? [filter.depth] : [])),
  );
  return Math.min(32, ...depths);
}

function usersKey({ secret, version, layout }: UsersSecret): string {
  return `${secret.namespace ?? ""}/${secret.name}/${layout}/${version}`;
}

/** Users of a filter that asks for passwords; nobody, where their Secret is gone. */
function addUsers(rows: Rows, filter: Filter, { users: usersOf }: RowContext): void {
  if (filter.type !== "BasicAuth" && filter.type !== "DigestAuth") return;
  const key = `users/${usersKey(filter.users)}`;
  if (rows.has(key)) return;
  const users = usersOf?.(filter.users) ?? new Map<string, string>();
  rows.set(key, encodeRow(Object.fromEntries([...users].map(([name, entry]) => [`u${name}`, entry]))));
}

function rowOfRoute({ id, path, method, headers, query, rule }: Route, { refused, limits }: RowContext): RowValue {
  const fields = (list: Route["headers"]): RowValue[] =>
    list.map(({ type, name, value }) => ({ regex: type === "RegularExpression", name, value }));
  const { request, backendRequest } = rule.timeouts;
  const connect = Math.min(rule.timeouts.connect || limits.connect, limits.connect);
  const read = rule.timeouts.read === 0 ? longest : Math.min(rule.timeouts.read ?? limits.responseStart, longest);
  const patient = connect === limits.connect && read === limits.responseStart;
  const all: readonly Filter[] = refused.has(id) ? [{ type: "Unsupported", what: "" }] : rule.filters;
  const bytes = all.flatMap((filter) => (filter.type === "BodyLimit" ? [filter.bytes] : []));
  const hsts = all.find((filter) => filter.type === "StrictTransport");
  // What costs no more than a look is done without the rest.
  const others = all.filter(({ type }) => type !== "BodyLimit" && type !== "StrictTransport");
  const { affinity, hashBy, canary, fallbackPool } = rule;
  const filtered = others.length > 0 || rule.backends.some(({ filters }) => filters.length > 0);
  const special = filtered || request !== undefined || backendRequest !== undefined;
  return {
    id,
    ...(path ? { path: { type: path.type, value: path.value } } : {}),
    ...(method === undefined ? {} : { method }),
    ...(headers.length === 0 ? {} : { headers: fields(headers) }),
    ...(query.length === 0 ? {} : { query: fields(query) }),
    filters: all.filter(({ type }) => type !== "StrictTransport").map(filterRow),
    backends: rule.backends.map(backendRow),
    weight: rule.backends.reduce((sum, { weight }) => sum + weight, 0),
    ...(request === undefined ? {} : { requestTimeout: request }),
    ...(backendRequest === undefined ? {} : { backendTimeout: backendRequest }),
    ...(bytes.length === 0 ? {} : { body: Math.min(...bytes), bodySlot: bodySlot(Math.min(...bytes)) }),
    ...(hsts ? { hsts: hsts.value } : {}),
    ...(patient ? {} : { connect, read, limits: `\n${Math.round(connect)} ${Math.round(read)}` }),
    ...(affinity ? { affinity: { ...affinity } } : {}),
    ...(hashBy ? { hashBy: templateRow(hashBy) } : {}),
    ...(canary ? { canary: canaryRow(canary) } : {}),
    ...(fallbackPool === undefined ? {} : { fallbackPool }),
    // Whatever else there is to do with a request than to pass it on.
    special: special || [affinity, hashBy, canary, fallbackPool].some((each) => each !== undefined),
  };
}

/** Milliseconds that stand for no limit. */
const longest = 2 ** 31 - 1;

function templateRow(template: Template): RowValue {
  return template.map((part) => (typeof part === "string" ? part : { variable: part.variable }));
}

function canaryRow({ pool, header, cookie, weight, total }: Canary): RowValue {
  return { pool, weight, total, cookie, header: header && { ...header } };
}

function backendRow({ pool, weight, filters }: Backend): RowValue {
  return { ...(pool === undefined ? {} : { pool }), weight, filters: filters.map(filterRow) };
}

function changesRow({ set, add, remove }: HeaderChanges): RowValue {
  const pairs = (fields: HeaderChanges["set"]): RowValue[] => fields.map(({ name, value }) => [name, value]);
  return { set: pairs(set), add: pairs(add), remove: [...remove] };
}

function filterRow(filter: Filter): RowValue {
  const { type } = filter;
  switch (filter.type) {
    case "RequestHeaders":
    case "ResponseHeaders":
      return { type, changes: changesRow(filter.changes) };
    case "Redirect": {
      const { scheme, hostname, path, port, status } = filter.redirect;
      return { type, scheme, hostname, path: path && { type: path.type, value: path.value }, port, status };
    }
    case "Rewrite":
      return {
        type,
        hostname: filter.hostname,
        path: filter.path && { type: filter.path.type, value: filter.path.value },
      };
    case "Mirror":
      return { type, pool: filter.pool, numerator: filter.numerator, denominator: filter.denominator };
    case "Cors":
      return { type, cors: { ...filter.cors } };
    case "Unsupported":
      return { type };
    default:
      return policyRow(filter);
  }
}

/** What only ingress-nginx has. */
function policyRow(filter: PolicyFilter): RowValue {
  switch (filter.type) {
    case "SourceRanges": {
      const { type, allow, deny, satisfyAny } = filter;
      return { type, satisfyAny, deny: rangesRow(deny), allow: allow.length === 0 ? undefined : rangesRow(allow) };
    }
    case "RateLimit":
    case "ConnectionLimit":
      return { ...filter, exempt: rangesRow(filter.exempt) };
    case "BasicAuth":
    case "DigestAuth":
      return { type: filter.type, realm: filter.realm, users: usersKey(filter.users) };
    case "UrlRedirect":
      return { ...filter, url: templateRow(filter.url) };
    case "ExternalAuth": {
      const { signin, redirect, path, ...rest } = filter;
      return {
        ...rest,
        path: templateRow(path),
        signin: signin && templateRow(signin),
        redirect: redirect && templateRow(redirect),
      };
    }
    case "ClientCertificate": {
      const { errorPage, ...rest } = filter;
      return { ...rest, errorPage: errorPage && templateRow(errorPage) };
    }
    case "ErrorPages": {
      const { type, codes, pool, about } = filter;
      return {
        type,
        pool,
        set: `e${errorSet(codes).replaceAll(",", "-")}`,
        codes: Object.fromEntries(codes.map((code) => [String(code), true])),
        about: Object.entries(about)
          .map(([name, value]) => `${name}: ${value}`)
          .join("\n"),
      };
    }
    case "RegexRewrite":
    case "StrictTransport":
    case "SslRedirect":
    case "BodyLimit":
      return { ...filter };
    default:
      return filter satisfies never;
  }
}

function rangesRow(cidrs: readonly string[]): RowValue {
  return { ...rangeBits(cidrs) };
}

/** Codes of error pages as the configuration has them. */
export function errorSet(codes: readonly number[]): string {
  return [...new Set(codes)].sort((a, b) => a - b).join(",");
}

/** What must be written and what deleted (`undefined`), so that `before` becomes `after`. */
export function changesBetween(before: Rows, after: Rows): [name: string, row: Buffer | undefined][] {
  const changes: [string, Buffer | undefined][] = [];
  for (const [name, row] of after) if (!before.get(name)?.equals(row)) changes.push([name, row]);
  for (const name of before.keys()) if (!after.has(name)) changes.push([name, undefined]);
  return changes;
}

/** Batches as the control server and the file take them, each of at most so many bytes (or one row). */
export function batchesOf(changes: readonly (readonly [string, Buffer | undefined])[], most = 1 << 20): Buffer[] {
  const batches: Buffer[] = [];
  let parts: Buffer[] = [];
  let size = 0;
  const close = (): void => {
    const content = Buffer.concat(parts);
    batches.push(Buffer.concat([Buffer.from(`${content.length}:`), content, Buffer.from("]")]));
    [parts, size] = [[], 0];
  };
  for (const [name, row] of changes) {
    const key = encodeRow(name);
    const value = row ? Buffer.concat([Buffer.from(`${row.length}:`), row, Buffer.from(",")]) : encodeRow(false);
    const pair = Buffer.concat([Buffer.from(`${key.length + value.length}:`), key, value, Buffer.from("]")]);
    if (size > 0 && size + pair.length > most) close();
    parts.push(pair);
    size += pair.length;
  }
  if (size > 0) close();
  return batches;
}
