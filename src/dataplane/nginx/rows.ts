import type {
  Backend,
  Certificate,
  Filter,
  HeaderChanges,
  HostRoutes,
  Listener,
  Pool,
  Route,
  RoutingModel,
  Server,
} from "../../routing/index.ts";
import type { KeyPair } from "../dataplane.ts";
import { neededFilters } from "../features.ts";
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
    // Nothing may be sent in clear where TLS is asked for.
    ...(tls ? { tls: true } : {}),
    endpoints: ready.map(({ address, port }) => [address.includes(":") ? `[${address}]` : address, port]),
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

function addServer(rows: Rows, at: string, server: Server, { keyPair, refused }: RowContext): void {
  const routeRow = (route: Route): RowValue => rowOfRoute(route, refused.has(route.id));
  for (const [name, certificate] of server.tls?.certificates ?? []) {
    const pair = keyPair(certificate);
    if (pair) rows.set(`certificate/${at}/${name}`, encodeRow({ certificate: pair.certificate, key: pair.key }));
  }
  if (server.kind !== "http") return;
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
  { exact, regex, prefix, longestPrefix, fallback }: HostRoutes,
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
    ...(fallback ? { fallback: routeRow(fallback) } : {}),
  });
}

function rowOfRoute({ path, method, headers, query, rule }: Route, refused: boolean): RowValue {
  const fields = (list: Route["headers"]): RowValue[] =>
    list.map(({ type, name, value }) => ({ regex: type === "RegularExpression", name, value }));
  const { request, backendRequest } = rule.timeouts;
  // A limit that is not kept lets nobody in who should stay out: it is refused, and the rest is served.
  const filters = refused ? [{ type: "Unsupported" }] : neededFilters(rule.filters).map(filterRow);
  const filtered = filters.length > 0 || rule.backends.some(({ filters }) => filters.length > 0);
  return {
    ...(path ? { path: { type: path.type, value: path.value } } : {}),
    ...(method === undefined ? {} : { method }),
    ...(headers.length === 0 ? {} : { headers: fields(headers) }),
    ...(query.length === 0 ? {} : { query: fields(query) }),
    filters,
    backends: rule.backends.map(backendRow),
    weight: rule.backends.reduce((sum, { weight }) => sum + weight, 0),
    ...(request === undefined ? {} : { requestTimeout: request }),
    ...(backendRequest === undefined ? {} : { backendTimeout: backendRequest }),
    // Whatever else there is to do with a request than to pass it on.
    special: filtered || request !== undefined || backendRequest !== undefined,
  };
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
      // What guards requests and cannot be done keeps all of them out; the refusal says so.
      return { type: "Unsupported" };
  }
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
