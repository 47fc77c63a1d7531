import type { ConnectionOptions } from "node:tls";
import { createHash } from "node:crypto";
import type { buildConnector, Pool as ConnectionPool } from "undici";
import type { BackendTls, Certificate, Pool } from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";
import type { KeyPair } from "../dataplane.ts";
import { endpointId } from "../endpoint-id.ts";
import { backendTlsOptions, openTls } from "./backend-tls.ts";
import { createEndpointConnections, type EndpointConnections } from "./fast-path/endpoint-connections.ts";
import type { Limits } from "./limits.ts";

/** One address that requests are sent to; shared by all pools that have it. */
export interface Upstream {
  readonly address: string;
  readonly port: number;
  /** Names it to clients that stay with it; the same in every process. */
  readonly id: string;
  /** How TLS to it is made; absent in clear. Throws when that is not possible as it is asked for. */
  readonly tls?: () => ConnectionOptions;
  /** Version of the PROXY protocol that it is told the client by. */
  readonly proxyProtocol?: 1 | 2;
  /** Requests and tunnels under way. */
  inFlight: number;
  /** Connections to it; opened by the first request. `once`: for requests that could not be repeated (`Limits.endpointTrust`). */
  connections(use?: "once"): ConnectionPool;
  /** The same without undici, for requests that are whole; absent where HTTP/1.1 in clear is not what it is spoken to in. */
  plain?(): EndpointConnections;
  /** A connection failed: for a short while others come first. */
  avoid(): void;
}

/** What makes one endpoint better than another, as long as it is ready. */
export interface Choice {
  /** `Upstream.id` */
  readonly sticky?: string;
  /** Requests with the same text have the same endpoint, whatever happens to the others (rendezvous hashing). */
  readonly hashKey?: string;
  /** Or one of so many. Default: 1. */
  readonly hashSubset?: number;
  /** Address of the client, for pools whose `balance` is `source`. */
  readonly client?: string;
}

/** Which upstreams stand behind which pool. */
export interface Upstreams {
  /** Loads what opens connections. To be awaited before the first `replace` that has pools. */
  prepare(): Promise<void>;
  /** Takes over all pools; connections to endpoints that none of them has close when their requests have ended. */
  replace(pools: Iterable<Pool>): void;
  /** The same for some pools. */
  update(pools: Iterable<Pool>): void;
  /**
   * The ready endpoint with the fewest requests under way, in turn where several have, unless the pool's `balance` says otherwise; none of
   * `tried`. `undefined` when there is none, "full" when all have as many requests as they may.
   */
  pick(pool: string, tried: ReadonlySet<Upstream>, choice?: Choice): Upstream | "full" | undefined;
  /** The pool as it is now. */
  poolOf(key: string): Pool | undefined;
  /** Settles when all connections are closed. */
  close(): Promise<void>;
}

interface Shared extends Upstream {
  readonly key: string;
  /** Pools that have it, ready or not. */
  users: number;
  avoidUntil: number;
  opened: ConnectionPool | undefined;
  openedOnce: ConnectionPool | undefined;
  openedPlain: EndpointConnections | undefined;
}

interface Balanced {
  readonly pool: Pool;
  all: Shared[];
  ready: Shared[];
  turn: number;
}

const streamsPerConnection = 100;

/** `keyPair` hands over what the data plane shows of itself to backends that ask for it. */
export function createUpstreams(
  limits: Limits,
  clock: Clock,
  keyPair: (certificate: Certificate) => KeyPair | undefined = () => undefined,
): Upstreams {
  const shared = new Map<string, Shared>();
  const balanced = new Map<string, Balanced>();
  // 20 MB that a cluster without an Ingress need not have.
  let undici: { readonly Pool: typeof ConnectionPool } | undefined;

  function take(pool: Pool, address: string, port: number): Shared {
    const origin = `http://${address.includes(":") ? `[${address}]` : address}:${port}`;
    const { protocol, proxyProtocol } = pool;
    const key = `${protocol}${proxyProtocol ?? ""} ${origin}${pool.tls ? ` ${identityOf(pool.tls)}` : ""}`;
    let upstream = shared.get(key);
    if (!upstream) {
      const tls = pool.tls && optionsOf(pool.tls);
      const created: Shared = {
        key,
        id: endpointId(address, port),
        address,
        port,
        ...(tls ? { tls } : {}),
        ...(proxyProtocol ? { proxyProtocol } : {}),
        inFlight: 0,
        users: 0,
        avoidUntil: 0,
        opened: undefined,
        openedOnce: undefined,
        openedPlain: undefined,
        connections: (use) =>
          // HTTP/2 says which requests it has not looked at (GOAWAY): no connection of it is doubtful.
          use === "once" && protocol !== "h2c"
            ? (created.openedOnce ??= open(
                origin,
                false,
                created,
                Math.min(limits.endpointTrust, limits.endpointKeepAlive),
              ))
            : (created.opened ??= open(origin, protocol === "h2c", created)),
        ...(tls || proxyProtocol || protocol === "h2c"
          ? {}
          : { plain: () => (created.openedPlain ??= createEndpointConnections({ address, port, limits })) }),
        avoid: () => void (created.avoidUntil = clock.now() + limits.avoid),
      };
      shared.set(key, (upstream = created));
    }
    upstream.users++;
    return upstream;
  }

  function optionsOf(tls: BackendTls): () => ConnectionOptions {
    let made: ConnectionOptions | undefined;
    return () => (made ??= backendTlsOptions(tls, keyPair));
  }

  function open(origin: string, h2: boolean, { address, port, tls }: Shared, keepAlive?: number): ConnectionPool {
    if (!undici) throw new Error("prepare() comes first");
    return new undici.Pool(origin, {
      // HTTP/2 has many requests on a connection; HTTP/1.1 one, or a slow answer would hold up those behind it.
      ...(h2 ? { allowH2: true, useH2c: true, pipelining: streamsPerConnection } : { pipelining: 1 }),
      connections: h2 ? Math.ceil(limits.requestsPerEndpoint / streamsPerConnection) : limits.requestsPerEndpoint,
      // To undici it is a connection in clear: it would take the name to ask for from each request's Host header.
      connect: tls
        ? (_options, done) => connectSecurely({ host: address, port, tls, h2 }, done)
        : { timeout: limits.connect, ...(h2 ? { useH2c: true } : {}) },
      keepAliveTimeout: keepAlive ?? limits.endpointKeepAlive,
      keepAliveMaxTimeout: keepAlive ?? 600_000,
      headersTimeout: limits.responseStart,
      bodyTimeout: limits.responseIdle,
      maxHeaderSize: limits.headerBytes,
    });
  }

  function connectSecurely(
    to: { host: string; port: number; tls: () => ConnectionOptions; h2: boolean },
    done: buildConnector.Callback,
  ): void {
    const { host, port, tls, h2 } = to;
    try {
      openTls({ ...tls(), host, port, timeout: limits.connect }, [h2 ? "h2" : "http/1.1"], (error, socket) => {
        if (socket) done(null, socket);
        else done(error ?? new Error("no connection"), null);
      });
    } catch (error) {
      done(error as Error, null);
    }
  }

  function release(upstreams: readonly Shared[]): void {
    for (const upstream of upstreams) {
      upstream.users--;
      if (upstream.users > 0) continue;
      shared.delete(upstream.key);
      // Waits for the requests that are under way.
      upstream.opened?.close().catch(() => {});
      upstream.openedOnce?.close().catch(() => {});
      void upstream.openedPlain?.close();
    }
  }

  function set(pool: Pool): Shared[] {
    const before = balanced.get(pool.key);
    if (before?.pool === pool) return [];
    const all = pool.endpoints.map(({ address, port }) => take(pool, address, port));
    const ready = all.filter((_, index) => pool.endpoints[index]?.ready);
    balanced.set(pool.key, { pool, all, ready, turn: before?.turn ?? 0 });
    return before?.all ?? [];
  }

  return {
    async prepare() {
      undici ??= await import("undici");
    },
    replace(pools) {
      const released: Shared[] = [];
      const kept = new Set<string>();
      for (const pool of pools) {
        kept.add(pool.key);
        released.push(...set(pool));
      }
      for (const [key, { all }] of balanced) {
        if (kept.has(key)) continue;
        balanced.delete(key);
        released.push(...all);
      }
      release(released);
    },
    update(pools) {
      const released: Shared[] = [];
      for (const pool of pools) if (balanced.has(pool.key)) released.push(...set(pool));
      release(released);
    },
    pick(key, tried, choice = {}) {
      const pool = balanced.get(key);
      if (!pool || pool.ready.length === 0) return undefined;
      const { ready } = pool;
      const { balance } = pool.pool;
      const { sticky, hashKey = balance === "source" ? choice.client : undefined } = choice;
      const now = clock.now();
      const wanted =
        sticky === undefined && hashKey === undefined
          ? undefined
          : (ready.find(({ id }) => id === sticky) ??
            (hashKey === undefined ? undefined : highest(ready, tried, hashKey, choice.hashSubset)));
      if (wanted && !tried.has(wanted) && wanted.inFlight < limits.requestsPerEndpoint) return wanted;
      let best: Shared | undefined;
      let bestLoad = Number.POSITIVE_INFINITY;
      let untried = false;
      const begin = balance === "first" ? 0 : pool.turn;
      for (let i = 0; i < ready.length; i++) {
        const candidate = ready[(begin + i) % ready.length] as Shared;
        if (tried.has(candidate)) continue;
        untried = true;
        if (candidate.inFlight >= limits.requestsPerEndpoint) continue;
        const under = balance === "roundrobin" || balance === "first" ? 0 : candidate.inFlight;
        const load = under + (candidate.avoidUntil > now ? limits.requestsPerEndpoint : 0);
        if (load < bestLoad) [best, bestLoad] = [candidate, load];
      }
      if (best) pool.turn = (ready.indexOf(best) + 1) % ready.length;
      return best ?? (untried ? "full" : undefined);
    },
    poolOf: (key) => balanced.get(key)?.pool,
    async close() {
      balanced.clear();
      const open = [...shared.values()].flatMap(({ opened, openedOnce, openedPlain }) =>
        [opened, openedOnce, openedPlain].filter((each) => each !== undefined),
      );
      shared.clear();
      await Promise.all(open.map((connections) => connections.close()));
    },
  };
}

/** Who has the highest hash of key and endpoint, or one of so many. It is the address that counts, so that all processes choose alike. */
function highest(ready: readonly Shared[], tried: ReadonlySet<Upstream>, key: string, subset = 1): Shared | undefined {
  const hashOf = ({ address, port }: Shared): string =>
    createHash("md5").update(`${address} ${port} ${key}`).digest("hex");
  if (subset > 1) {
    const hashed = ready.map((upstream) => ({ upstream, hash: hashOf(upstream) }));
    const untried = hashed
      .sort((a, b) => (a.hash < b.hash ? 1 : -1))
      .slice(0, subset)
      .filter(({ upstream }) => !tried.has(upstream));
    return untried[Math.floor(Math.random() * untried.length)]?.upstream;
  }
  let best: Shared | undefined;
  let most = "";
  for (const candidate of ready) {
    if (tried.has(candidate)) continue;
    const hash = hashOf(candidate);
    if (hash >= most) [best, most] = [candidate, hash];
  }
  return best;
}

/** Connections are shared only by those that ask for the same identity. */
function identityOf({ serverName, subjectAltNames, authorities, unverified, depth, client }: BackendTls): string {
  return JSON.stringify([serverName, subjectAltNames, authorities, unverified, depth, client?.secret, client?.version]);
}
