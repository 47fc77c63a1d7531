import {
  type Ask,
  changedKeys,
  derive,
  gather,
  type HostRoutes,
  type HostTable,
  type Listener,
  recall,
  type Remembered,
  type Route,
} from "../routing/index.ts";

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

/**
 * What the hosts of a listener say by themselves; those that say nothing (`undefined`) are left out. It costs the hosts that differ from those of the listener before it; a
 * default backend is a host that has nothing else.
 */
export function gatherHosts<T>(make: (host: HostRoutes) => T | undefined): (listener: Listener) => T[] {
  const known = new WeakMap<HostRoutes, readonly [T | undefined]>();
  const once = (host: HostRoutes): T | undefined => {
    let found = known.get(host);
    if (!found) known.set(host, (found = [make(host)]));
    return found[0];
  };
  const gathered = gather<string, HostRoutes, T>(once);
  return ({ servers }) => {
    const all: T[] = [];
    for (const server of servers.values()) {
      if (server.kind !== "http") continue;
      const { exact, wildcard, any } = server.hosts;
      for (const hosts of [exact, wildcard]) for (const value of gathered(hosts).values()) all.push(value);
      for (const host of [any, fallbackHost(server.hosts)]) {
        const value = host && once(host);
        if (value !== undefined) all.push(value);
      }
    }
    return all;
  };
}

/** What was made of the hosts of a server, by their names: exact, `*.suffix`, "" for any. An entry is the same object while it is the same. */
export interface HostValues<T> {
  /** What it was made of, and in: while both are the same object, nothing is looked at again. */
  readonly table: HostTable;
  readonly epoch: object;
  readonly entries: ReadonlyMap<string, HostValue<T>>;
}

interface HostValue<T> {
  readonly host: HostRoutes;
  readonly value: T;
}

const noHosts: HostTable = { semantics: "Ingress", exact: new Map(), wildcard: new Map() };

/** In the same epoch it costs the hosts that differ. */
export function valuesOfHosts<T>(
  table: HostTable,
  before: HostValues<T> | undefined,
  epoch: object,
  valueOf: (host: HostRoutes, name: string) => T,
): HostValues<T> {
  const known: HostValues<T>["entries"] = before?.entries ?? new Map();
  const old = before?.epoch === epoch ? before.table : noHosts;
  const entryOf = (name: string, host: HostRoutes | undefined): readonly [string, HostValue<T> | undefined] => {
    if (!host) return [name, undefined];
    const value = valueOf(host, name);
    const entry = known.get(name);
    return [name, entry?.host === host && entry.value === value ? entry : { host, value }];
  };
  const entries = derive(known, [
    ...(old === noHosts ? [...known.keys()].filter((name) => !hostOf(table, name)) : []).map((name) =>
      entryOf(name, undefined),
    ),
    ...changedKeys(old.exact, table.exact).map((name) => entryOf(name, table.exact.get(name))),
    ...changedKeys(old.wildcard, table.wildcard).map((suffix) => entryOf(`*${suffix}`, table.wildcard.get(suffix))),
    ...(old.any === table.any ? [] : [entryOf("", table.any)]),
  ]);
  return { table, epoch, entries };
}

function hostOf({ exact, wildcard, any }: HostTable, name: string): HostRoutes | undefined {
  if (name === "") return any;
  return name.startsWith("*.") ? wildcard.get(name.slice(1)) : exact.get(name);
}

/** Calls back with what differs: `old` of what is gone, `now` of what has come, both of what is another one. */
export function compareHosts<T>(
  before: HostValues<T> | undefined,
  after: HostValues<T> | undefined,
  differs: (name: string, old: T | undefined, now: T | undefined) => void,
): void {
  const [old, now] = [
    before?.entries ?? new Map<string, HostValue<T>>(),
    after?.entries ?? new Map<string, HostValue<T>>(),
  ];
  for (const name of changedKeys(old, now)) {
    const [was, is] = [old.get(name), now.get(name)];
    if (was !== is) differs(name, was?.value, is?.value);
  }
}

/** The same object as `before` while two sets have the same members. */
export function sameSet<T>(before: ReadonlySet<T>, now: ReadonlySet<T>): ReadonlySet<T> {
  if (before.size !== now.size) return now;
  for (const each of now) if (!before.has(each)) return now;
  return before;
}

const ofFallback = new WeakMap<Route, HostRoutes>();

function fallbackHost({ fallback }: HostTable): HostRoutes | undefined {
  if (!fallback) return undefined;
  let alone = ofFallback.get(fallback);
  if (!alone) {
    alone = { exact: new Map(), regex: [], prefix: new Map(), longestPrefix: 0, fallback };
    ofFallback.set(fallback, alone);
  }
  return alone;
}

/** The hosts of a listener for HTTP; its default backends are hosts that have nothing else. */
export function* hostsOf(listener: Listener): Generator<HostRoutes> {
  for (const server of listener.servers.values()) {
    if (server.kind !== "http") continue;
    const { exact, wildcard, any } = server.hosts;
    yield* exact.values();
    yield* wildcard.values();
    if (any) yield any;
    const alone = fallbackHost(server.hosts);
    if (alone) yield alone;
  }
}
