import { type Ask, type HostRoutes, type HostTable, type Listener, recall, type Remembered } from "../routing/index.ts";

/**
 * What is made of hosts, by their routes: a host that is the same as before is looked at once, while all that was asked for it is
 * answered the same. So a change costs the hosts that it changes.
 */
export function createHostMemory<World, T>(
  make: (host: HostRoutes, ask: Ask<World>) => T,
): (host: HostRoutes, ask: Ask<World>) => T {
  const known = new WeakMap<HostRoutes, Remembered<World, T>>();
  return (host, ask) => {
    const before = known.get(host);
    const now = recall(before, ask, (own) => make(host, own));
    if (now !== before) known.set(host, now);
    return now.value;
  };
}

/** The same of what a host says by itself. */
export function createPlainHostMemory<T>(make: (host: HostRoutes) => T): (host: HostRoutes) => T {
  const known = new WeakMap<HostRoutes, { readonly value: T }>();
  return (host) => {
    let found = known.get(host);
    if (!found) known.set(host, (found = { value: make(host) }));
    return found.value;
  };
}

const ofFallback = new WeakMap<HostTable, HostRoutes>();

/** The hosts of a listener for HTTP; its default backends are hosts that have nothing else. */
export function* hostsOf(listener: Listener): Generator<HostRoutes> {
  for (const server of listener.servers.values()) {
    if (server.kind !== "http") continue;
    const { exact, wildcard, any, fallback } = server.hosts;
    yield* exact.values();
    yield* wildcard.values();
    if (any) yield any;
    if (!fallback) continue;
    let alone = ofFallback.get(server.hosts);
    if (!alone) {
      alone = { exact: new Map(), regex: [], prefix: new Map(), longestPrefix: 0, fallback };
      ofFallback.set(server.hosts, alone);
    }
    yield alone;
  }
}
