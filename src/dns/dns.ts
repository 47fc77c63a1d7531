import type { Informers } from "../client/index.ts";
import type { Clock, Component, Logger, Metrics } from "../system/index.ts";
import { counted } from "./figures.ts";
import { createResolver } from "./resolver.ts";
import { listen } from "./server.ts";
import { createUpstream, parseServer, serversFromFile, type Endpoint } from "./upstream.ts";
import { createClusterView } from "./view.ts";

export interface DnsOptions {
  readonly informers: Informers;
  /** Addresses to listen on, over UDP and TCP. A port below 1024 that this user may not open becomes 8000 more. */
  readonly listen: readonly Endpoint[];
  /** For example `cluster.local`. */
  readonly clusterDomain: string;
  /** Servers that answer other names: `ADDRESS` or `ADDRESS:PORT`. Absent: those of /etc/resolv.conf. */
  readonly upstream?: readonly string[];
  /** Addresses that lead back here, such as the cluster address of `kube-dns`: they are never asked. */
  readonly ownAddresses?: readonly string[];
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of the responses. */
  readonly metrics?: Metrics;
}

export interface Dns extends Component {
  /** Where it listens. Settles before `ready`; rejects with ListenError. */
  readonly listening: Promise<readonly Endpoint[]>;
}

/**
 * Starts the cluster's name server (Kubernetes DNS-Based Service Discovery 1.1.0). It is ready when it knows the whole cluster; until
 * then it answers SERVFAIL, as no name may be said not to exist. Throws TypeError for an upstream that is no address.
 */
export function startDns(options: DnsOptions): Dns {
  const { informers, signal, clock } = options;
  const log = options.log.child({ component: "dns" });
  const view = createClusterView(informers);
  let complete = false;
  const synced = view.synced.then(() => void (complete = true));
  const domain = options.clusterDomain.toLowerCase().replace(/\.$/, "");
  const listening: Endpoint[] = [];

  const upstream = createUpstream({
    servers: othersThan(listening, options.ownAddresses ?? [], serversOf(options)),
    clock,
    signal,
  });
  const plain = createResolver({
    view: () => (complete ? view : undefined),
    zone: () => ({ domain, serial: Math.floor(clock.now() / 1000) }),
    upstream,
    log,
  });
  const resolver = options.metrics ? counted(plain, options.metrics) : plain;

  const opened = Promise.all(
    options.listen.map(async (where) => {
      const { closed, ...at } = await listen(where, resolver, signal);
      if (at.port !== where.port && where.port !== 0) {
        log.warn(
          { address: at.address, port: at.port, wanted: where.port },
          "this user may not open the port: took another",
        );
      }
      listening.push(at);
      return { at, closed };
    }),
  );
  const ready = Promise.all([opened, synced]).then(() => {});
  const where = opened.then((all) => all.map(({ at }) => at));
  // Whoever asks hears of a failure; nobody has to ask.
  ready.catch(() => {});
  where.catch(() => {});
  return {
    name: "dns",
    listening: where,
    ready,
    stopped: opened.then(
      async (all) => void (await Promise.all(all.map(({ closed }) => closed))),
      () => {},
    ),
  };
}

function serversOf({ upstream, clock }: DnsOptions): () => Promise<readonly Endpoint[]> {
  if (!upstream) return serversFromFile("/etc/resolv.conf", clock);
  const servers = upstream.map((text) => {
    const server = parseServer(text);
    if (!server) throw new TypeError(`not a name server: ${JSON.stringify(text)}; write ADDRESS or ADDRESS:PORT`);
    return server;
  });
  return () => Promise.resolve(servers);
}

/** Without those that lead back here: a query must not go round in circles. */
function othersThan(
  listening: readonly Endpoint[],
  ownAddresses: readonly string[],
  servers: () => Promise<readonly Endpoint[]>,
): () => Promise<readonly Endpoint[]> {
  const isOwn = ({ address, port }: Endpoint) =>
    ownAddresses.includes(address) || listening.some((own) => own.address === address && own.port === port);
  return async () => (await servers()).filter((server) => !isOwn(server));
}
