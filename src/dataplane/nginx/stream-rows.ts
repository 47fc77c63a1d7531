import { isIPv6 } from "node:net";
import {
  type Certificate,
  type Listener,
  type Pool,
  type RoutingModel,
  type Rule,
  type Server,
  streamsOf,
} from "../../routing/index.ts";
import type { KeyPair } from "../dataplane.ts";

/** Rows of streams by name, as `lua/fairlead/streams.js` reads them: each is a file. */
export type StreamRows = Map<string, string>;

export interface StreamRowContext {
  /** Short name of a listener; `undefined`: it is not served. */
  readonly idOf: (listener: Listener) => string | undefined;
  readonly keyPair: (certificate: Certificate) => KeyPair | undefined;
  /** Routes whose connections must not go anywhere. */
  readonly refused: ReadonlySet<string>;
  /** What a client gets whose name no certificate is for. */
  readonly standard: KeyPair;
}

/** Bytes of an endpoint: `[` IPv6 `]:65535` and a line break. */
const width = 56;

/** All rows of a model's streams. */
export function streamRowsOf(model: RoutingModel, context: StreamRowContext): StreamRows {
  const rows: StreamRows = new Map();
  for (const listener of model.listeners) {
    const id = context.idOf(listener);
    if (id === undefined || listener.protocol === "HTTP") continue;
    if (rows.size === 0) rows.set("certificate", JSON.stringify(context.standard));
    // Where a first server reads the name at all: all but proofs go to the one for HTTP, which knows what is for which name.
    if (listener.protocol === "HTTPS") rows.set(`server/${id}/`, `${doorOf.http} `);
    else for (const server of listener.servers.values()) addServer(rows, id, server, context);
    for (const [name, { rule }] of listener.challenges ?? []) rows.set(`challenge/${id}/${name}`, backendsRow(rule));
    for (const { rule } of [...streamsOf(listener), ...(listener.challenges?.values() ?? [])])
      for (const { pool: key } of rule.backends) {
        const pool = key === undefined ? undefined : model.pools.get(key);
        if (pool) rows.set(streamPoolName(pool.key), streamPoolRow(pool));
      }
  }
  return rows;
}

export function streamPoolName(key: string): string {
  return `pool/${key}`;
}

/** The ready endpoints of a pool, each in as many bytes. */
export function streamPoolRow({ endpoints }: Pool): string {
  return endpoints
    .filter(({ ready }) => ready)
    .map(
      ({ address, port }) => `${(isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`).padEnd(width - 1)}\n`,
    )
    .join("");
}

/** Which of a port's servers inside goes on: the end of a socket's name. */
export const doorOf = { pass: "p", end: "e", http: "h", http2: "g" } as const;

function kindOf(server: Server): (typeof doorOf)[keyof typeof doorOf] {
  if (server.kind === "http") return doorOf.http;
  return server.tls ? doorOf.end : doorOf.pass;
}

function addServer(rows: StreamRows, id: string, server: Server, { keyPair, refused }: StreamRowContext): void {
  const { hostname } = server;
  rows.set(`server/${id}/${hostname}`, `${kindOf(server)} ${hostname}`);
  if (server.kind === "http") return;
  for (const [name, certificate] of server.tls?.certificates ?? []) {
    const pair = keyPair(certificate);
    if (pair) rows.set(`certificate/${id}/${hostname}/${name}`, pairRow(pair));
  }
  const { exact, wildcard, any } = server.streams;
  const routes = [
    ...[...exact].map(([host, route]) => [host, route] as const),
    ...[...wildcard].map(([suffix, route]) => [`*${suffix}`, route] as const),
    ...(any ? [["", any] as const] : []),
  ];
  for (const [host, route] of routes) {
    const row = refused.has(route.id) ? "[]" : backendsRow(route.rule);
    rows.set(`route/${id}/${hostname}/${host}`, row);
  }
}

const backendsRow = ({ backends }: Rule): string =>
  JSON.stringify(backends.map(({ weight, pool }) => [weight, pool ?? null]));

/** As nginx takes a certificate that is no file. */
function pairRow({ certificate, key }: KeyPair): string {
  return JSON.stringify({ certificate, key });
}
