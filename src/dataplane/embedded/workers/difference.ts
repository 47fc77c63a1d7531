import {
  type Certificate,
  changedKeys,
  type ClientValidation,
  type HostRoutes,
  type HostTable,
  type Listener,
  type Pool,
  type Server,
  type StreamTable,
} from "../../../routing/index.ts";
import type { KeyPair } from "../../dataplane.ts";
import type { Snapshot } from "./snapshot.ts";

/** From one snapshot to the next, as it is sent to a process: what stays is not in it. Plain data. */
export interface Difference {
  /** All listeners, as names and what is new of each. */
  readonly listeners: readonly ListenerDifference[];
  readonly pools: MapDifference<Pool>;
  readonly keyPairs: MapDifference<KeyPair>;
  readonly users: MapDifference<ReadonlyMap<string, string>>;
}

interface MapDifference<V> {
  readonly set: readonly (readonly [key: string, value: V])[];
  readonly remove: readonly string[];
}

interface ListenerDifference {
  readonly about: Omit<Listener, "servers">;
  readonly servers: readonly ServerDifference[];
}

interface ServerDifference {
  readonly about: Pick<Server, "hostname" | "owner">;
  readonly tls?: { readonly certificates: MapDifference<Certificate>; readonly clients?: ClientValidation };
  readonly serves: { readonly streams: StreamTable } | { readonly hosts: HostsDifference };
}

interface HostsDifference extends Pick<HostTable, "semantics" | "any" | "fallback"> {
  readonly exact: MapDifference<HostRoutes>;
  readonly wildcard: MapDifference<HostRoutes>;
}

/** What differs is what is no longer the same object. */
export function differenceOf(before: Snapshot, after: Snapshot): Difference {
  const known = new Map(before.listeners.map((listener) => [listener.name, listener]));
  const byKey = (): boolean => true;
  return {
    listeners: after.listeners.map((listener) => ofListener(known.get(listener.name), listener)),
    pools: ofMaps(before.pools, after.pools, Object.is),
    // What an id with a version names does not change.
    keyPairs: ofMaps(before.keyPairs, after.keyPairs, byKey),
    users: ofMaps(before.users, after.users, byKey),
  };
}

/** The snapshot that a difference leads to. */
export function follow(before: Snapshot, difference: Difference): Snapshot {
  const known = new Map(before.listeners.map((listener) => [listener.name, listener]));
  return {
    listeners: difference.listeners.map((each) => listenerAfter(known.get(each.about.name), each)),
    pools: mapAfter(before.pools, difference.pools),
    keyPairs: mapAfter(before.keyPairs, difference.keyPairs),
    users: mapAfter(before.users, difference.users),
  };
}

function ofMaps<V>(
  before: ReadonlyMap<string, V>,
  after: ReadonlyMap<string, V>,
  same: (one: V, other: V) => boolean,
): MapDifference<V> {
  const set: (readonly [string, V])[] = [];
  const remove: string[] = [];
  for (const key of changedKeys(before, after)) {
    const [old, value] = [before.get(key), after.get(key)];
    if (value === undefined) remove.push(key);
    else if (old === undefined || !same(old, value)) set.push([key, value]);
  }
  return { set, remove };
}

function mapAfter<V>(before: ReadonlyMap<string, V>, { set, remove }: MapDifference<V>): ReadonlyMap<string, V> {
  if (set.length === 0 && remove.length === 0) return before;
  const after = new Map(before);
  for (const key of remove) after.delete(key);
  for (const [key, value] of set) after.set(key, value);
  return after;
}

function ofListener(before: Listener | undefined, { servers, ...about }: Listener): ListenerDifference {
  return {
    about,
    servers: [...servers.values()].map((server) => ofServer(before?.servers.get(server.hostname), server)),
  };
}

function listenerAfter(before: Listener | undefined, { about, servers }: ListenerDifference): Listener {
  return {
    ...about,
    servers: new Map(
      servers.map((server) => [server.about.hostname, serverAfter(before?.servers.get(server.about.hostname), server)]),
    ),
  };
}

const sameCertificate = (one: Certificate, other: Certificate): boolean =>
  one.version === other.version &&
  one.secret.name === other.secret.name &&
  one.secret.namespace === other.secret.namespace;

function ofServer(before: Server | undefined, server: Server): ServerDifference {
  const { hostname, owner, tls } = server;
  const secure = tls && {
    certificates: ofMaps(before?.tls?.certificates ?? new Map(), tls.certificates, sameCertificate),
    ...(tls.clients ? { clients: tls.clients } : {}),
  };
  const about = { hostname, owner };
  if (server.kind === "stream")
    return { about, ...(secure ? { tls: secure } : {}), serves: { streams: server.streams } };
  const { exact, wildcard, ...rest } = server.hosts;
  const old = before?.kind === "http" ? before.hosts : undefined;
  const hosts = {
    ...rest,
    exact: ofMaps(old?.exact ?? new Map(), exact, Object.is),
    wildcard: ofMaps(old?.wildcard ?? new Map(), wildcard, Object.is),
  };
  return { about, ...(secure ? { tls: secure } : {}), serves: { hosts } };
}

function serverAfter(before: Server | undefined, { about, tls, serves }: ServerDifference): Server {
  const base = {
    ...about,
    ...(tls
      ? { tls: { ...tls, certificates: mapAfter(before?.tls?.certificates ?? new Map(), tls.certificates) } }
      : {}),
  };
  if ("streams" in serves) return { ...base, kind: "stream", streams: serves.streams };
  const old = before?.kind === "http" ? before.hosts : undefined;
  const hosts = {
    ...serves.hosts,
    exact: mapAfter(old?.exact ?? new Map(), serves.hosts.exact),
    wildcard: mapAfter(old?.wildcard ?? new Map(), serves.hosts.wildcard),
  };
  return { ...base, kind: "http", hosts };
}
