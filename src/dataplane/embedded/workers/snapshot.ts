import {
  type Certificate,
  certificatesOf,
  type HostRoutes,
  type HostTable,
  type Listener,
  type Pool,
  routesOfHost,
  type UsersSecret,
} from "../../../routing/index.ts";
import type { Configuration, KeyPair } from "../../dataplane.ts";

/** All that a process needs to serve a configuration: nothing in it asks back. A value: never changed once made. */
export interface Snapshot {
  readonly listeners: readonly Listener[];
  readonly pools: ReadonlyMap<string, Pool>;
  /** By `certificateId`. */
  readonly keyPairs: ReadonlyMap<string, KeyPair>;
  /** By `usersId`. */
  readonly users: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

export const emptySnapshot: Snapshot = { listeners: [], pools: new Map(), keyPairs: new Map(), users: new Map() };

const idOf = (secret: { readonly namespace?: string; readonly name: string }, version: string): string =>
  `${secret.namespace ?? ""}/${secret.name} ${version}`;

export const certificateId = ({ secret, version }: Certificate): string => idOf(secret, version);
export const usersId = ({ secret, version, layout }: UsersSecret): string => `${layout} ${idOf(secret, version)}`;

/** Takes a configuration with its secrets. Those that `before` has are not asked for again: an id with its version never changes. */
export function snapshotOf({ model, keyPair, users: usersOf }: Configuration, before: Snapshot): Snapshot {
  const keyPairs = new Map<string, KeyPair>();
  const take = (certificate: Certificate): void => {
    const id = certificateId(certificate);
    if (keyPairs.has(id)) return;
    const pair = before.keyPairs.get(id) ?? keyPair(certificate);
    if (pair) keyPairs.set(id, pair);
  };
  const users = new Map<string, ReadonlyMap<string, string>>();
  for (const listener of model.listeners) {
    for (const certificate of certificatesOf(listener)) take(certificate);
    for (const host of hostsOf(listener))
      for (const secret of needsOf(host).users) {
        const id = usersId(secret);
        const known = users.get(id) ?? before.users.get(id) ?? usersOf?.(secret);
        if (known) users.set(id, known);
      }
  }
  for (const { tls } of model.pools.values()) if (tls?.client) take(tls.client);
  return { listeners: model.listeners, pools: model.pools, keyPairs, users };
}

/** The configuration that a snapshot is of. */
export function configurationOf({ listeners, pools, keyPairs, users }: Snapshot): Configuration {
  return {
    model: { listeners, pools },
    keyPair: (certificate) => keyPairs.get(certificateId(certificate)),
    users: (secret) => users.get(usersId(secret)),
  };
}

/**
 * What further processes serve: not what has to be seen in one place, which are datagrams (a client stays with its endpoint) and
 * listeners whose routes count requests or connections of clients, or the uses of a nonce.
 */
export function sharedPart(snapshot: Snapshot): Snapshot {
  const listeners = snapshot.listeners.filter(
    (listener) => listener.protocol !== "UDP" && ![...hostsOf(listener)].some((host) => needsOf(host).counts),
  );
  return { ...snapshot, listeners };
}

interface Needs {
  readonly users: readonly UsersSecret[];
  readonly counts: boolean;
}

/** A host that is the same needs no second look. */
const known = new WeakMap<HostRoutes, Needs>();

function needsOf(host: HostRoutes): Needs {
  let needs = known.get(host);
  if (needs) return needs;
  const users: UsersSecret[] = [];
  let counts = false;
  for (const { rule } of routesOfHost(host))
    for (const filter of [...rule.filters, ...rule.backends.flatMap(({ filters }) => filters)]) {
      if (filter.type === "BasicAuth" || filter.type === "DigestAuth") users.push(filter.users);
      counts ||= filter.type === "RateLimit" || filter.type === "ConnectionLimit" || filter.type === "DigestAuth";
    }
  known.set(host, (needs = { users, counts }));
  return needs;
}

const ofFallback = new WeakMap<HostTable, HostRoutes>();

function* hostsOf(listener: Listener): Generator<HostRoutes> {
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
