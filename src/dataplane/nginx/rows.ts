import {
  type Ask,
  type Backend,
  type BackendTls,
  type Canary,
  type Certificate,
  changedKeys,
  type ClientValidation,
  derive,
  type Filter,
  gather,
  heldBodyBytes,
  type HeaderChanges,
  type HostRoutes,
  type HostTable,
  type Listener,
  type PolicyFilter,
  type Pool,
  type Retry,
  type Route,
  routesOfHost,
  type RoutingModel,
  type Server,
  type Template,
  type TemplateHeaders,
  type UsersSecret,
} from "../../routing/index.ts";
import type { Configuration, KeyPair } from "../dataplane.ts";
import type { Limits } from "../embedded/limits.ts";
import { endpointId } from "../endpoint-id.ts";
import { compareHosts, createHostMemory, type HostValues, sameSet, valuesOfHosts } from "../hosts.ts";
import { rangeBits } from "../range-bits.ts";
import { retryName, retrySetsOf } from "../retry-sets.ts";
import { certificateId, usersId } from "../secret-ids.ts";
import { authoritiesOf } from "./authorities.ts";
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
}

/** Milliseconds that hold without a word. */
type RowLimits = Pick<Limits, "connect" | "responseStart">;

/** What the row of a host depends on beside its routes, by their ids. */
interface HostWorld {
  readonly refused: boolean;
}

/** What a host's routes come to. */
interface HostRows {
  readonly row: Buffer;
  readonly users: readonly UsersSecret[];
  /** Authorities between a client's certificate and one that is trusted: the fewest that a route allows. */
  readonly depth: number;
}

/** A row that is to be written, or deleted (`undefined`). */
export type Change = readonly [name: string, row: Buffer | undefined];

/** The rows of one model after the other. */
export interface RowTable {
  /** As they are now. */
  readonly rows: Rows;
  /** Brings them to a model; what stays as it was, a host, a pool, a key pair with its version, costs no more than a look. */
  follow(model: RoutingModel, context: RowContext): Change[];
  /** Replaces pools; those that it does not have are ignored. */
  followPools(pools: readonly Pool[]): Change[];
}

/** Pools whose endpoints are shown a certificate. */
const showing = gather<string, Pool, Certificate>(({ tls }) => tls?.client);

/** Hosts that more than their own rows depend on. */
const special = gather<string, { readonly value: HostRows }, HostRows>(({ value }) =>
  value.users.length > 0 || value.depth < mostDepth ? value : undefined,
);

export function createRowTable(limits: RowLimits): RowTable {
  const rows: Rows = new Map();
  const rowsOfHost = createHostMemory<HostWorld, HostRows>((host, ask) => {
    const routeRow = (route: Route): RowValue => rowOfRoute(route, ask("refused", route.id), limits);
    return { row: hostRow(host, routeRow), users: [...usersOfRoutes(routesOfHost(host))], depth: depthOf(host) };
  });
  const usersRows = new WeakMap<ReadonlyMap<string, string>, Buffer>();
  let keyPairs = new Map<string, Buffer>();
  let lastKeyPair: RowContext["keyPair"] = () => undefined;
  let pools: ReadonlyMap<string, Pool> = new Map();
  /** By listener and server: the first that has them. */
  let hosts = new Map<string, HostValues<HostRows>>();
  /** All but those of hosts and pools. */
  let others: Rows = new Map();
  /** What hosts were made in. */
  let refusedBefore: ReadonlySet<string> = new Set();

  function take(changes: Change[], name: string, row: Buffer | undefined): void {
    const old = rows.get(name);
    if (old === row || (row && old?.equals(row))) return;
    if (row) rows.set(name, row);
    else rows.delete(name);
    changes.push([name, row]);
  }

  return {
    rows,
    follow(model, { idOf, keyPair, refused: refusedNow, users: usersOf }) {
      const changes: Change[] = [];
      lastKeyPair = keyPair;
      const nextPairs = new Map<string, Buffer>();
      const nextHosts = new Map<string, HostValues<HostRows>>();
      const owners = new Map<HostTable, string>();
      const nextOthers: Rows = new Map();
      const refused = sameSet(refusedBefore, refusedNow);
      refusedBefore = refused;
      const ask: Ask<HostWorld> = (_what, route) => refused.has(route);
      for (const listener of model.listeners) {
        const id = idOf(listener);
        if (id === undefined) continue;
        nextOthers.set(`listener/${id}`, listenerRow(listener));
        const asking = [...listener.servers.values()].find(({ tls }) => tls?.clients)?.tls?.clients;
        // Who asks for no name that is known here must show no less.
        if (asking) nextOthers.set(`clients/${id}`, clientsRow(asking, mostDepth));
        for (const server of listener.servers.values()) addServer(`${id}/${server.hostname}`, server);
      }
      // Rows of hosts name sets whether or not they are there.
      for (const name of retrySetsOf(model.listeners).names) nextOthers.set(`retry/${name}`, encodeRow(true));
      for (const at of new Set([...hosts.keys(), ...nextHosts.keys()]))
        compareHosts(hosts.get(at), nextHosts.get(at), (name, _old, now) =>
          take(changes, `host/${at}/${name}`, now?.row),
        );
      for (const [name, row] of nextOthers) take(changes, name, row);
      for (const name of others.keys()) if (!nextOthers.has(name)) take(changes, name, undefined);
      // A key pair may be gone, or there again.
      for (const key of new Set([...changedKeys(pools, model.pools), ...showing(model.pools).keys()])) {
        const pool = model.pools.get(key);
        take(changes, poolRowName(key), pool && poolRow(pool, { keyPair }));
      }
      [keyPairs, hosts, others, pools] = [nextPairs, nextHosts, nextOthers, model.pools];
      return changes;

      function addServer(at: string, server: Server): void {
        for (const [name, certificate] of server.tls?.certificates ?? []) addKeyPair(`${at}/${name}`, certificate);
        if (server.kind !== "http") return;
        const { semantics, wildcard, fallback } = server.hosts;
        // What serves the same hosts, as HTTPS beside HTTP, has them once: under the name of the first.
        const owner = owners.get(server.hosts) ?? at;
        owners.set(server.hosts, owner);
        const made =
          nextHosts.get(owner) ??
          valuesOfHosts(server.hosts, hosts.get(owner), refused, (host) => rowsOfHost(host, ask));
        nextHosts.set(owner, made);
        const last = fallback ? [fallback] : [];
        for (const secret of usersOfRoutes(last)) addUsers(secret);
        let depth = depthOfRoutes(last);
        for (const host of special(made.entries).values()) {
          for (const secret of host.users) addUsers(secret);
          depth = Math.min(depth, host.depth);
        }
        nextOthers.set(
          `server/${at}`,
          encodeRow({
            semantics,
            wildcards: wildcard.size > 0,
            hosts: owner,
            ...(fallback ? { fallback: rowOfRoute(fallback, refused.has(fallback.id), limits) } : {}),
          }),
        );
        const { clients } = server.tls ?? {};
        if (clients) nextOthers.set(`clients/${at}`, clientsRow(clients, depth));
      }

      function addKeyPair(at: string, certificate: Certificate): void {
        const id = certificateId(certificate);
        let row = nextPairs.get(id) ?? keyPairs.get(id);
        if (!row) {
          const pair = keyPair(certificate);
          if (!pair) return;
          row = encodeRow({ certificate: pair.certificate, key: pair.key });
        }
        nextPairs.set(id, row);
        nextOthers.set(`certificate/${at}`, row);
      }

      /** Users of a filter that asks for passwords; nobody, where their Secret is gone. */
      function addUsers(secret: UsersSecret): void {
        const key = `users/${usersId(secret)}`;
        if (nextOthers.has(key)) return;
        const users = usersOf?.(secret) ?? nobody;
        let row = usersRows.get(users);
        if (!row) {
          row = encodeRow(Object.fromEntries([...users].map(([name, entry]) => [`u${name}`, entry])));
          usersRows.set(users, row);
        }
        nextOthers.set(key, row);
      }
    },
    followPools(changed) {
      const changes: Change[] = [];
      const known = changed.filter(({ key }) => pools.has(key));
      pools = derive(
        pools,
        known.map((pool) => [pool.key, pool] as const),
      );
      for (const pool of known) {
        take(changes, poolRowName(pool.key), poolRow(pool, { keyPair: lastKeyPair }));
      }
      return changes;
    },
  };
}

const nobody: ReadonlyMap<string, string> = new Map();

export function poolRowName(key: string): string {
  return `pool/${key}`;
}

const poolRows = new WeakMap<Pool, Buffer>();

/** A pool: the addresses that get requests. */
export function poolRow(pool: Pool, context: Pick<RowContext, "keyPair">): Buffer {
  // A key pair may be gone by now.
  if (pool.tls?.client) return makePoolRow(pool, context);
  let row = poolRows.get(pool);
  if (!row) poolRows.set(pool, (row = makePoolRow(pool, context)));
  return row;
}

function makePoolRow({ protocol, tls, endpoints }: Pool, context: Pick<RowContext, "keyPair">): Buffer {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  return encodeRow({
    protocol,
    ...(tls ? tlsRow(tls, context) : {}),
    endpoints: ready.map(({ address, port }) => [
      address.includes(":") ? `[${address}]` : address,
      port,
      endpointId(address, port),
    ]),
  });
}

/** Nothing may be sent in clear where TLS is asked for, or to whom nobody has vouched for where somebody must. */
function tlsRow(tls: BackendTls, { keyPair }: Pick<RowContext, "keyPair">): Record<string, RowValue> {
  const shown = tls.client && keyPair(tls.client);
  const authorities = tls.unverified ? undefined : authoritiesOf(tls);
  // nginx holds a certificate against the one name that it asks for.
  const checked = authorities !== undefined && tls.subjectAltNames.length === 0;
  if ((!tls.unverified && !checked) || (tls.client && !shown)) return { tls: "refused" };
  return {
    tls: tls.unverified ? "unverified" : "verified",
    name: tls.serverName,
    ...(authorities ? { authorities: `${authorities.id}${tls.depth === undefined ? "" : `-${tls.depth}`}` } : {}),
    ...(shown ? { certificate: `data:${shown.certificate}`, key: `data:${shown.key}` } : {}),
  };
}

function listenerRow({ servers, protocol, port }: Listener): Buffer {
  return encodeRow({
    scheme: protocol === "HTTP" ? "http" : "https",
    port,
    servers: servers.size,
    names: Object.fromEntries([...servers.keys()].map((name) => [name, true])),
  });
}

function clientsRow({ mode, authorities, revoked }: ClientValidation, depth: number): Buffer {
  return encodeRow({
    must: mode === "AllowValidOnly",
    authorities,
    depth,
    ...(revoked === undefined ? {} : { revoked }),
  });
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

/** Most authorities between the certificate of a client and one that is trusted. */
const mostDepth = 32;

function depthOfRoutes(routes: Iterable<Route>): number {
  let depth = mostDepth;
  for (const { rule } of routes)
    for (const filter of rule.filters) if (filter.type === "ClientCertificate") depth = Math.min(depth, filter.depth);
  return depth;
}

const depthOf = (host: HostRoutes): number => depthOfRoutes(routesOfHost(host));

function* usersOfRoutes(routes: Iterable<Route>): Generator<UsersSecret> {
  for (const { rule } of routes)
    for (const filter of rule.filters)
      if (filter.type === "BasicAuth" || filter.type === "DigestAuth") yield filter.users;
}

function rowOfRoute({ id, path, method, headers, query, rule }: Route, refused: boolean, limits: RowLimits): RowValue {
  const fields = (list: Route["headers"]): RowValue[] =>
    list.map(({ type, name, value }) => ({ regex: type === "RegularExpression", name, value }));
  const { request, backendRequest } = rule.timeouts;
  const connect = Math.min(rule.timeouts.connect || limits.connect, limits.connect);
  const read = rule.timeouts.read === 0 ? longest : Math.min(rule.timeouts.read ?? limits.responseStart, longest);
  const patient = connect === limits.connect && read === limits.responseStart;
  const all: readonly Filter[] = refused ? [{ type: "Unsupported", what: "" }] : rule.filters;
  const bytes = all.flatMap((filter) => (filter.type === "BodyLimit" ? [filter.bytes] : []));
  const hsts = all.find((filter) => filter.type === "StrictTransport");
  // What costs no more than a look is done without the rest.
  const others = all.filter(({ type }) => type !== "BodyLimit" && type !== "StrictTransport");
  const { affinity, hashBy, hashSubset, canary, fallbackPool, fallbackFields } = rule;
  const tries = rule.retry && retryRow(rule.retry);
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
    ...(tries ? { retry: tries } : {}),
    ...(affinity ? { affinity: { ...affinity } } : {}),
    ...(hashBy ? { hashBy: templateRow(hashBy), hashSubset } : {}),
    ...(canary ? { canary: canaryRow(canary) } : {}),
    ...(fallbackPool === undefined ? {} : { fallbackPool }),
    ...(fallbackFields ? { fallbackFields: filterRow(fallbackFields) } : {}),
    // Whatever else there is to do with a request than to pass it on.
    special: special || [affinity, hashBy, canary, fallbackPool, tries].some((each) => each !== undefined),
  };
}

/** A set of conditions of another try by its name, and how often a request is tried. */
function retryRow(retry: Retry): RowValue | undefined {
  const name = retryName(retry);
  return name === undefined
    ? undefined
    : { name, tries: retry.attempts + 1, any: retry.only?.nonIdempotent === true, held: heldBodyBytes };
}

/** Milliseconds that stand for no limit. */
const longest = 2 ** 31 - 1;

function templateRow(template: Template): RowValue {
  return template.map((part) => (typeof part === "string" ? part : { variable: part.variable }));
}

function fieldsRow(fields: TemplateHeaders["fields"]): RowValue[] {
  return fields.map(({ name, value }) => ({ name, value: templateRow(value) }));
}

function canaryRow({ pool, header, cookie, weight, total, sticky }: Canary): RowValue {
  return { pool, weight, total, cookie, sticky, header: header && { ...header } };
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
      return { ...filter };
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
      return { type: filter.type, realm: filter.realm, users: usersId(filter.users) };
    case "UrlRedirect":
      return { ...filter, url: templateRow(filter.url) };
    case "AnswerRewrite":
      return { ...filter, from: templateRow(filter.from), to: templateRow(filter.to) };
    case "TemplateHeaders":
      return { ...filter, fields: fieldsRow(filter.fields) };
    case "ExternalAuth": {
      const { signin, redirect, path, headers = [], remembered, ...rest } = filter;
      return {
        ...rest,
        headers: fieldsRow(headers),
        path: templateRow(path),
        signin: signin && templateRow(signin),
        redirect: redirect && templateRow(redirect),
        remembered: remembered && {
          scope: remembered.scope,
          key: templateRow(remembered.key),
          seconds: Object.fromEntries(Object.entries(remembered.seconds).map(([status, time]) => [`s${status}`, time])),
        },
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
    case "Tracing":
    case "AnswerRate":
    case "CloseConnection":
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

/** Batches as the control server and the file take them, each of at most so many bytes (or one row). */
export function batchesOf(changes: readonly Change[], most = 1 << 20): Buffer[] {
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
