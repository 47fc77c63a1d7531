import type { Pool as ConnectionPool } from "undici";
import type { BackendProtocol, Pool } from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";
import type { Limits } from "./limits.ts";

/** One address that requests are sent to; shared by all pools that have it. */
export interface Upstream {
  readonly address: string;
  readonly port: number;
  /** Requests and tunnels under way. */
  inFlight: number;
  /** Connections to it; opened by the first request. */
  connections(): ConnectionPool;
  /** A connection failed: for a short while others come first. */
  avoid(): void;
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
   * The ready endpoint with the fewest requests under way, in turn where several have; none of `tried`. `undefined`
   * when there is none, "full" when all have as many requests as they may.
   */
  pick(pool: string, tried: ReadonlySet<Upstream>): Upstream | "full" | undefined;
  /** Settles when all connections are closed. */
  close(): Promise<void>;
}

interface Shared extends Upstream {
  readonly key: string;
  /** Pools that have it, ready or not. */
  users: number;
  avoidUntil: number;
  opened: ConnectionPool | undefined;
}

interface Balanced {
  readonly pool: Pool;
  all: Shared[];
  ready: Shared[];
  turn: number;
}

const streamsPerConnection = 100;

export function createUpstreams(limits: Limits, clock: Clock): Upstreams {
  const shared = new Map<string, Shared>();
  const balanced = new Map<string, Balanced>();
  // 20 MB that a cluster without an Ingress need not have.
  let undici: { readonly Pool: typeof ConnectionPool } | undefined;

  function take(protocol: BackendProtocol, address: string, port: number): Shared {
    const origin = `http://${address.includes(":") ? `[${address}]` : address}:${port}`;
    const key = `${protocol} ${origin}`;
    let upstream = shared.get(key);
    if (!upstream) {
      const created: Shared = {
        key,
        address,
        port,
        inFlight: 0,
        users: 0,
        avoidUntil: 0,
        opened: undefined,
        connections: () => (created.opened ??= open(origin, protocol)),
        avoid: () => void (created.avoidUntil = clock.now() + limits.avoid),
      };
      shared.set(key, (upstream = created));
    }
    upstream.users++;
    return upstream;
  }

  function open(origin: string, protocol: BackendProtocol): ConnectionPool {
    const h2 = protocol === "h2c";
    if (!undici) throw new Error("prepare() comes first");
    return new undici.Pool(origin, {
      // HTTP/2 has many requests on a connection; HTTP/1.1 one, or a slow answer would hold up those behind it.
      ...(h2 ? { allowH2: true, useH2c: true, pipelining: streamsPerConnection } : { pipelining: 1 }),
      connections: h2 ? Math.ceil(limits.requestsPerEndpoint / streamsPerConnection) : limits.requestsPerEndpoint,
      connect: { timeout: limits.connect, ...(h2 ? { useH2c: true } : {}) },
      keepAliveTimeout: limits.endpointKeepAlive,
      keepAliveMaxTimeout: 600_000,
      headersTimeout: limits.responseStart,
      bodyTimeout: limits.responseIdle,
      maxHeaderSize: limits.headerBytes,
    });
  }

  function release(upstreams: readonly Shared[]): void {
    for (const upstream of upstreams) {
      upstream.users--;
      if (upstream.users > 0) continue;
      shared.delete(upstream.key);
      // Waits for the requests that are under way.
      upstream.opened?.close().catch(() => {});
    }
  }

  function set(pool: Pool): Shared[] {
    const before = balanced.get(pool.key);
    if (before?.pool === pool) return [];
    const all = pool.endpoints.map(({ address, port }) => take(pool.protocol, address, port));
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
    pick(key, tried) {
      const pool = balanced.get(key);
      if (!pool || pool.ready.length === 0) return undefined;
      const { ready } = pool;
      const now = clock.now();
      let best: Shared | undefined;
      let bestLoad = Number.POSITIVE_INFINITY;
      let untried = false;
      for (let i = 0; i < ready.length; i++) {
        const candidate = ready[(pool.turn + i) % ready.length] as Shared;
        if (tried.has(candidate)) continue;
        untried = true;
        if (candidate.inFlight >= limits.requestsPerEndpoint) continue;
        const load = candidate.inFlight + (candidate.avoidUntil > now ? limits.requestsPerEndpoint : 0);
        if (load < bestLoad) [best, bestLoad] = [candidate, load];
      }
      if (best) pool.turn = (ready.indexOf(best) + 1) % ready.length;
      return best ?? (untried ? "full" : undefined);
    },
    async close() {
      balanced.clear();
      const open = [...shared.values()].flatMap(({ opened }) => (opened ? [opened] : []));
      shared.clear();
      await Promise.all(open.map((connections) => connections.close()));
    },
  };
}
