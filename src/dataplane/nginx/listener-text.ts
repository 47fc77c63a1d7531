import { gather, type Listener, type Pool, routesOfHost, type RoutingModel, streamsOf } from "../../routing/index.ts";
import { gatherHosts } from "../hosts.ts";
import { authoritiesOf } from "./authorities.ts";
import { type NamedRetry, retryName } from "../retry-sets.ts";
import { bodySlot, type NginxListener, type Way } from "./configuration.ts";
import { errorSet } from "./rows.ts";
import type { NginxStream } from "./stream-configuration.ts";

/** What routes of a listener want of nginx's configuration itself: few things, that seldom change. */
export type ListenerText = Required<Pick<NginxListener, "limited" | "asking" | "errorSets" | "ways">> &
  Pick<NginxStream, "told" | "ends"> & {
    /** Clients may speak HTTP/2 without TLS: a Gateway's routes lead to endpoints that do. */
    readonly http2: boolean;
  };

export const plainListener: ListenerText = {
  limited: false,
  asking: false,
  errorSets: [],
  ways: [],
  told: false,
  ends: false,
  http2: false,
};

/** Sets of error codes, or ways of requests, that one port may have; beyond it those of the past are forgotten. */
const most = 32;

/** What a host's routes want, whoever the endpoints are. */
const wishesOf = gatherHosts((host) => {
  const sets: string[] = [];
  let [limited, paced] = [false, false];
  for (const { rule } of routesOfHost(host))
    for (const filter of rule.filters) {
      limited ||= filter.type === "BodyLimit";
      paced ||= filter.type === "AnswerRate";
      if (filter.type === "ErrorPages") sets.push(errorSet(filter.codes));
    }
  return limited || paced || sets.length > 0 ? { limited, paced, sets } : undefined;
});

const sendsOf = gatherHosts((host) =>
  [...routesOfHost(host)].map(({ rule }): Sends => {
    const filters = [...rule.filters, ...rule.backends.flatMap((backend) => backend.filters)];
    const bytes = rule.filters.flatMap((filter) => (filter.type === "BodyLimit" ? [filter.bytes] : []));
    const pages = rule.filters.flatMap((filter) => (filter.type === "ErrorPages" ? [errorSet(filter.codes)] : []));
    const keys = [...rule.backends.map(({ pool }) => pool), rule.canary?.pool, rule.fallbackPool];
    return {
      pools: keys.flatMap((key) => key ?? []),
      mirrors: filters.some(({ type }) => type === "Mirror"),
      paced: rule.filters.some(({ type }) => type === "AnswerRate"),
      // The last one counts.
      ...(pages.length === 0 ? {} : { errors: pages.at(-1) ?? "" }),
      ...(bytes.length === 0 ? {} : { slot: bodySlot(Math.min(...bytes)) }),
      ...(rule.retry?.only ? { retry: { ...rule.retry, only: rule.retry.only } } : {}),
    };
  }),
);

/** How requests of a rule are passed on. */
interface Sends {
  readonly pools: readonly string[];
  readonly mirrors: boolean;
  readonly paced: boolean;
  readonly errors?: string;
  readonly slot?: string;
  readonly retry?: NamedRetry;
}

/** What a listener wants now, and what it has wanted: it stays while the port is open, so that no change takes it from under a request. */
export function textFor(
  listener: Listener,
  pools: RoutingModel["pools"],
  retries: ReadonlySet<string>,
  before: ListenerText,
): ListenerText {
  let { limited } = before;
  let [leadsToHttp2, paced] = [false, false];
  const sets = new Set<string>();
  const ways = new Set<string>();
  const trusting = checkedPools(pools);
  const speaking = http2Pools(pools);
  for (const wishes of wishesOf(listener)) {
    limited ||= wishes.limited;
    paced ||= wishes.paced;
    for (const set of wishes.sets) sets.add(set);
  }
  if (paced || trusting.size + speaking.size + retries.size > 0)
    for (const sends of sendsOf(listener))
      for (const each of sends) {
        leadsToHttp2 ||= each.pools.some((key) => speaking.has(key));
        for (const way of waysOf(each, trusting, speaking, retries)) ways.add(JSON.stringify(way));
      }
  const servers = [...listener.servers.values()];
  const ofGateway = servers.some((server) => server.kind === "http" && server.hosts.semantics === "Gateway");
  const proves = listener.challenges !== undefined;
  const tls = servers.some((server) => server.tls !== undefined);
  const streams = [...streamsOf(listener)].flatMap(({ rule }) => rule.backends.flatMap(({ pool }) => pool ?? []));
  const kept = (now: ReadonlySet<string>, past: readonly string[]): string[] => {
    const all = new Set([...past, ...now]);
    return [...(all.size > most ? now : all)].sort();
  };
  return {
    limited,
    asking: before.asking || servers.some(({ tls }) => tls?.clients !== undefined),
    errorSets: kept(sets, before.errorSets),
    ways: kept(
      ways,
      before.ways.map((each) => JSON.stringify(each)),
    ).map((text) => JSON.parse(text) as Way),
    told: streams.length > 0 && streams.every((key) => pools.get(key)?.proxyProtocol === 1),
    http2: before.http2 || (listener.protocol === "HTTP" && ofGateway && leadsToHttp2),
    ends: before.ends || (listener.protocol === "HTTPS" ? proves : tls && listener.protocol === "TLS"),
  };
}

/** Pools whose endpoints are checked, with whom by. */
const checkedPools = gather<string, Pool, Pick<Way, "authorities" | "depth">>(({ tls }) => {
  const authorities = tls && !tls.unverified ? authoritiesOf(tls)?.id : undefined;
  if (authorities === undefined) return undefined;
  return { authorities, ...(tls?.depth === undefined ? {} : { depth: tls.depth }) };
});

/** Those that speak HTTP/2. */
const http2Pools = gather<string, Pool, true>(({ protocol }) => (protocol === "h2c" ? true : undefined));

/** The ways of a rule's requests that want a location of their own. `retries`: names of the sets that are there. */
function waysOf(
  { pools, mirrors, paced, errors, slot, retry: asked }: Sends,
  trusting: ReturnType<typeof checkedPools>,
  speaking: ReturnType<typeof http2Pools>,
  retries: ReadonlySet<string>,
): Way[] {
  const retry = retries.has(retryName(asked) ?? "") ? asked : undefined;
  return pools.flatMap((key) => {
    const h2c = speaking.has(key);
    const own = {
      ...trusting.get(key),
      ...(paced && !h2c ? { paced } : {}),
      ...(retry ? { retry } : {}),
    };
    if (Object.keys(own).length === 0) return [];
    const kinds: Way[] = h2c
      ? [{ kind: "h2c", ...own }]
      : [
          { kind: "full", ...own, ...(errors === undefined ? {} : { errors }) },
          ...(mirrors ? [{ kind: "mirrored" as const, ...own }] : []),
        ];
    return kinds.flatMap((way) => [
      way,
      ...(slot === undefined ? [] : [{ ...way, slot }]),
      ...(retry && !h2c ? [{ ...way, held: true }] : []),
    ]);
  });
}
