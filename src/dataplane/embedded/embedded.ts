import { setTimeout as pause } from "node:timers/promises";
import type { Listener, Pool, RoutingModel } from "../../routing/index.ts";
import { type Clock, type Logger, type Metrics, systemClock, whenAborted } from "../../system/index.ts";
import { annotationFeatures, basicFeatures, gatewayFeatures } from "../common-features.ts";
import type { BoundListener, Configuration, DataPlane, Feature } from "../dataplane.ts";
import { refusalsOf } from "../features.ts";
import { type ListenAddresses, listOf } from "../sockets.ts";
import { selfSigned } from "../self-signed.ts";
import { openAccessLog, tellLines } from "../access-log.ts";
import { tellAll } from "../finished.ts";
import { createTracer } from "../tracing/trace-context.ts";
import { tellSpans, type Tracing } from "../tracing/tracing.ts";
import { portKind, type TakePort } from "./bind.ts";
import { openDatagrams } from "./datagrams.ts";
import { trustedForwarders } from "./forwarded.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { openListener, type OpenListener } from "./listener.ts";
import { createGuards } from "./guards.ts";
import { createRequestCounts } from "./metrics.ts";
import type { ProxyContext } from "./proxy.ts";
import { createSecureContexts } from "./secure-contexts.ts";
import { createUpstreams } from "./upstream.ts";

export interface EmbeddedOptions {
  /** Where to listen. Default: all IPv4 addresses. */
  readonly address?: ListenAddresses;
  /** CIDRs of proxies in front of this one, whose `X-Forwarded-*` are believed. Default: none. */
  readonly trustedForwarders?: readonly string[];
  readonly limits?: Partial<Limits>;
  readonly metrics: Metrics;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  readonly log: Logger;
  /** Descriptor of a file that gets a line for each request (`access-log.ts`); stays open. Default: none is written. */
  readonly accessLog?: number;
  /** Requests are traced (docs/metrics.md). Default: no; what clients say of traces is passed on as it is. */
  readonly tracing?: Tracing;
  /**
   * Hands over the socket of a listener's port, once each time that it is opened, for whoever opens ports elsewhere: then none is
   * opened here. Without a descriptor nobody listens.
   */
  readonly take?: TakePort;
}

/** Milliseconds that requests in flight get when a listener closes. */
export const grace = 10_000;

export const capabilities: ReadonlySet<Feature> = new Set<Feature>([
  ...basicFeatures,
  ...gatewayFeatures,
  ...annotationFeatures,
  "NextUpstreamTimeout",
  "NextUpstream429",
  "BodyLimit",
  "ConnectTimeout",
  "AnswerRate",
  "BackendChainDepth",
  "BalanceAlgorithm",
  "UDPRoute",
  "BackendTLSPolicySANValidation",
  "GatewayBackendClientCertificate",
  "HTTPRouteRetry",
  "HTTPRouteRetryBackendTimeout",
  "HTTPRouteRetryConnectionError",
  "TLSRouteModeTerminate",
  "TLSRouteModeMixed",
]);

/** The data plane inside this process, which may give its ports to another. */
export interface Embedded extends DataPlane {
  /**
   * Takes no new connections from now on, whatever is applied. Those that are there follow what is applied, each until its next
   * answer; settles when the last one is done.
   */
  drain(): Promise<void>;
}

/**
 * The data plane inside this process. Its program is the routing room's own `match`; a configuration is a model, put in
 * place of the one before between two requests. Throws `TypeError` for a malformed CIDR.
 */
export function startEmbedded(options: EmbeddedOptions): Embedded {
  const { signal, log, clock = systemClock, tracing } = options;
  const limits = { ...defaultLimits, ...options.limits };
  let keyPair: Configuration["keyPair"] = () => undefined;
  let users: NonNullable<Configuration["users"]> = () => undefined;
  const upstreams = createUpstreams(limits, clock, (certificate) => keyPair(certificate));
  const contexts = createSecureContexts(() => selfSigned(clock.now()));
  const open = new Map<string, OpenListener>();
  const closing = new Set<Promise<void>>();
  let pools = new Map<string, Pool>();
  let applying: Promise<unknown> = Promise.resolve();
  let isDraining = false;

  const lines = options.accessLog === undefined ? undefined : openAccessLog(options.accessLog, log);
  const tell = tellAll([
    ...(lines ? [tellLines(lines, () => clock.now())] : []),
    ...(tracing ? [tellSpans(tracing)] : []),
  ]);
  const context: ProxyContext = {
    upstreams,
    limits,
    trusted: trustedForwarders(options.trustedForwarders ?? []),
    metrics: createRequestCounts(options.metrics, tell),
    ...(tracing ? { tracer: createTracer(tracing) } : {}),
    guards: createGuards(clock, (secret) => users(secret)),
    clock,
  };
  const listenerOptions = {
    addresses: listOf(options.address),
    limits,
    log,
    contexts,
    ...(options.take ? { take: options.take } : {}),
  };

  function close(name: string, listener: OpenListener): void {
    open.delete(name);
    const closed = listener.close(grace);
    closing.add(closed);
    void closed.finally(() => closing.delete(closed));
  }

  async function replaceListeners(model: RoutingModel): Promise<void> {
    const wanted = new Map(model.listeners.map((listener) => [listener.name, listener]));
    for (const [name, listener] of open) {
      const next = wanted.get(name);
      const same = next !== undefined && isSamePort(next, listener.bound);
      // One that got no port tries again.
      if (same && listener.bound.port !== undefined) listener.update(next);
      else close(name, listener);
    }
    for (const listener of model.listeners)
      if (!open.has(listener.name) && !isDraining) {
        const opener = listener.protocol === "UDP" ? openDatagrams : openListener;
        open.set(listener.name, await opener(context, listener, listenerOptions));
      }
  }

  const stopped = new Promise<void>((resolve, reject) => {
    const stop = async (): Promise<void> => {
      await applying;
      for (const [name, listener] of open) close(name, listener);
      await Promise.all(closing);
      await upstreams.close();
      await lines?.flush();
    };
    whenAborted(signal, () => void stop().then(resolve, reject));
  });

  async function drain(): Promise<void> {
    await applying;
    isDraining = true;
    await Promise.all([...open.values()].map((listener) => listener.drain()));
  }

  return {
    name: "embedded",
    ready: Promise.resolve(),
    stopped,
    capabilities,
    apply(configuration) {
      const next = applying.then(async () => {
        signal.throwIfAborted();
        const { model } = configuration;
        keyPair = configuration.keyPair;
        users = configuration.users ?? (() => undefined);
        if (model.pools.size > 0) await upstreams.prepare();
        contexts.use(configuration);
        // A request between these lines sees old routes with new pools at worst; so old pools stay until routes follow.
        pools = new Map([...pools, ...model.pools]);
        upstreams.replace(pools.values());
        await replaceListeners(model);
        pools = new Map(model.pools);
        upstreams.replace(pools.values());
        return { refused: refusalsOf(model, capabilities) };
      });
      applying = next.catch(() => {});
      return next;
    },
    async updatePools(changed) {
      await applying;
      const known = changed.filter((pool) => pools.has(pool.key));
      for (const pool of known) pools.set(pool.key, pool);
      upstreams.update(known);
    },
    listeners: () => [...open.values()].map((listener) => listener.bound),
    drain,
    retire: (patience) => within(patience, drain()),
  };
}

/** Settles with `done`, `patience` milliseconds from now at the latest. */
export async function within(patience: number, done: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  const late = pause(patience, undefined, { signal: over.signal, ref: false }).catch(() => {});
  await Promise.race([done, late]);
  over.abort();
}

/** A listener goes on with its port: only what it serves may differ. */
function isSamePort(next: Listener, bound: BoundListener): boolean {
  const moved = next.bindPort !== undefined && next.bindPort !== bound.port;
  const there = next.address === bound.address;
  // Names whose TLS is passed through come and go on a port of HTTPS.
  return next.port === bound.wanted && portKind(next.protocol) === portKind(bound.protocol) && there && !moved;
}
