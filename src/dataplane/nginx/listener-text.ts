import { type Listener, routesOfHost, type RoutingModel, streamsOf } from "../../routing/index.ts";
import { createPlainHostMemory, hostsOf } from "../hosts.ts";
import { authoritiesOf } from "./authorities.ts";
import { bodySlot, type CheckedRequests, type NginxListener } from "./configuration.ts";
import { errorSet } from "./rows.ts";
import type { NginxStream } from "./stream-configuration.ts";

/** What routes of a listener want of nginx's configuration itself: few things, that seldom change. */
export type ListenerText = Required<Pick<NginxListener, "limited" | "asking" | "errorSets" | "checked">> &
  Pick<NginxStream, "told" | "ends"> & {
    /** Clients may speak HTTP/2 without TLS: a Gateway's routes lead to endpoints that do. */
    readonly http2: boolean;
  };

export const plainListener: ListenerText = {
  limited: false,
  asking: false,
  errorSets: [],
  checked: [],
  told: false,
  ends: false,
  http2: false,
};

/** Sets of error codes, or ways to endpoints that are checked, that one port may have; beyond it those of the past are forgotten. */
const most = 32;

/** What a host's routes want, whoever the endpoints are. */
const wishesOf = createPlainHostMemory((host) => {
  const limits: boolean[] = [];
  const sets: string[] = [];
  const sends: Sends[] = [];
  for (const { rule } of routesOfHost(host)) {
    const filters = [...rule.filters, ...rule.backends.flatMap((backend) => backend.filters)];
    const bytes = rule.filters.flatMap((filter) => (filter.type === "BodyLimit" ? [filter.bytes] : []));
    const pages = rule.filters.flatMap((filter) => (filter.type === "ErrorPages" ? [errorSet(filter.codes)] : []));
    const keys = [...rule.backends.map(({ pool }) => pool), rule.canary?.pool, rule.fallbackPool];
    limits.push(bytes.length > 0);
    sets.push(...pages);
    sends.push({
      pools: keys.flatMap((key) => key ?? []),
      mirrors: filters.some(({ type }) => type === "Mirror"),
      // The last one counts.
      ...(pages.length === 0 ? {} : { errors: pages.at(-1) ?? "" }),
      ...(bytes.length === 0 ? {} : { slot: bodySlot(Math.min(...bytes)) }),
    });
  }
  return { limited: limits.includes(true), sets, sends };
});

/** How requests of a rule are passed on. */
interface Sends {
  readonly pools: readonly string[];
  readonly mirrors: boolean;
  readonly errors?: string;
  readonly slot?: string;
}

/** What a listener wants now, and what it has wanted: it stays while the port is open, so that no change takes it from under a request. */
export function textFor(listener: Listener, pools: RoutingModel["pools"], before: ListenerText): ListenerText {
  let { limited } = before;
  let leadsToHttp2 = false;
  const sets = new Set<string>();
  const checked = new Set<string>();
  const trusting = checkedPools(pools);
  for (const host of hostsOf(listener)) {
    const wishes = wishesOf(host);
    limited ||= wishes.limited;
    for (const set of wishes.sets) sets.add(set);
    leadsToHttp2 ||= wishes.sends.some((each) => each.pools.some((key) => pools.get(key)?.protocol === "h2c"));
    if (trusting.size > 0)
      for (const each of wishes.sends) for (const own of checkedBy(each, trusting)) checked.add(JSON.stringify(own));
  }
  const servers = [...listener.servers.values()];
  const ofGateway = servers.some((server) => server.kind === "http" && server.hosts.semantics === "Gateway");
  const streams = [...streamsOf(listener)].flatMap(({ rule }) => rule.backends.flatMap(({ pool }) => pool ?? []));
  const kept = (now: ReadonlySet<string>, past: readonly string[]): string[] => {
    const all = new Set([...past, ...now]);
    return [...(all.size > most ? now : all)].sort();
  };
  return {
    limited,
    asking: before.asking || servers.some(({ tls }) => tls?.clients !== undefined),
    errorSets: kept(sets, before.errorSets),
    checked: kept(
      checked,
      before.checked.map((each) => JSON.stringify(each)),
    ).map((text) => JSON.parse(text) as CheckedRequests),
    told: streams.length > 0 && streams.every((key) => pools.get(key)?.proxyProtocol === 1),
    http2: before.http2 || (listener.protocol === "HTTP" && ofGateway && leadsToHttp2),
    ends: before.ends || (listener.protocol === "TLS" && servers.some(({ tls }) => tls !== undefined)),
  };
}

const knownPools = new WeakMap<RoutingModel["pools"], ReturnType<typeof findChecked>>();

/** Pools whose endpoints are checked, with whom by. */
function checkedPools(pools: RoutingModel["pools"]): ReturnType<typeof findChecked> {
  let found = knownPools.get(pools);
  if (!found) knownPools.set(pools, (found = findChecked(pools)));
  return found;
}

function findChecked(
  pools: RoutingModel["pools"],
): Map<string, { readonly authorities: string; readonly h2c: boolean }> {
  const found = new Map<string, { authorities: string; h2c: boolean }>();
  for (const { key, protocol, tls } of pools.values()) {
    const authorities = tls && !tls.unverified ? authoritiesOf(tls) : undefined;
    if (authorities) found.set(key, { authorities: authorities.id, h2c: protocol === "h2c" });
  }
  return found;
}

/** The ways in which requests of a rule go to endpoints that are checked. */
function checkedBy(
  { pools, mirrors, errors, slot }: Sends,
  trusting: ReturnType<typeof checkedPools>,
): CheckedRequests[] {
  return pools.flatMap((key) => {
    const pool = trusting.get(key);
    if (!pool) return [];
    const { authorities, h2c } = pool;
    const kinds: CheckedRequests[] = h2c
      ? [{ authorities, kind: "h2c" }]
      : [
          { authorities, kind: "full", ...(errors === undefined ? {} : { errors }) },
          ...(mirrors ? [{ authorities, kind: "mirrored" as const }] : []),
        ];
    return kinds.flatMap((kind) => (slot === undefined ? [kind] : [kind, { ...kind, slot }]));
  });
}
