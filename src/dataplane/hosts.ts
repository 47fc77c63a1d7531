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

/** What was made of the hosts of a server, by their names: exact, `*.suffix`, "" for any. An entry is the same object while it is the same. */
export interface HostValues<T> {
  /** What it was made in: while it is the same object, a host that is the same is not looked at again. */
  readonly epoch: object;
  readonly entries: ReadonlyMap<string, { readonly host: HostRoutes; readonly value: T }>;
}

export function valuesOfHosts<T>(
  { exact, wildcard, any }: HostTable,
  before: HostValues<T> | undefined,
  epoch: object,
  valueOf: (host: HostRoutes, name: string) => T,
): HostValues<T> {
  const entries = new Map<string, { readonly host: HostRoutes; readonly value: T }>();
  const sameEpoch = before?.epoch === epoch;
  const add = (name: string, host: HostRoutes): void => {
    const known = before?.entries.get(name);
    const old = known?.host === host ? known : undefined;
    if (old && sameEpoch) return void entries.set(name, old);
    const value = valueOf(host, name);
    entries.set(name, old && old.value === value ? old : { host, value });
  };
  for (const [name, host] of exact) add(name, host);
  for (const [suffix, host] of wildcard) add(`*${suffix}`, host);
  if (any) add("", any);
  return { epoch, entries };
}

/** Calls back with what differs: `old` of what is gone, `now` of what has come, both of what is another one. */
export function compareHosts<T>(
  before: HostValues<T> | undefined,
  after: HostValues<T> | undefined,
  differs: (name: string, old: T | undefined, now: T | undefined) => void,
): void {
  for (const [name, entry] of after?.entries ?? []) {
    const old = before?.entries.get(name);
    if (old !== entry) differs(name, old?.value, entry.value);
  }
  for (const [name, { value }] of before?.entries ?? []) if (!after?.entries.has(name)) differs(name, value, undefined);
}

/** The same object as `before` while two sets have the same members. */
export function sameSet<T>(before: ReadonlySet<T>, now: ReadonlySet<T>): ReadonlySet<T> {
  if (before.size !== now.size) return now;
  for (const each of now) if (!before.has(each)) return now;
  return before;
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
