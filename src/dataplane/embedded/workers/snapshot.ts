import {
  type Certificate,
  certificatesOf,
  gather,
  type Listener,
  type Pool,
  routesOfHost,
  type UsersSecret,
} from "../../../routing/index.ts";
import type { Configuration, KeyPair } from "../../dataplane.ts";
import { gatherHosts } from "../../hosts.ts";
import { certificateId, usersId } from "../../secret-ids.ts";

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
    for (const needs of needsOf(listener))
      for (const secret of needs.users) {
        const id = usersId(secret);
        const known = users.get(id) ?? before.users.get(id) ?? usersOf?.(secret);
        if (known) users.set(id, known);
      }
  }
  for (const client of shownBy(model.pools).values()) take(client);
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
    (listener) => listener.protocol !== "UDP" && !needsOf(listener).some(({ counts }) => counts),
  );
  return { ...snapshot, listeners };
}

interface Needs {
  readonly users: readonly UsersSecret[];
  readonly counts: boolean;
}

const needsOf = gatherHosts((host): Needs | undefined => {
  const users: UsersSecret[] = [];
  let counts = false;
  for (const { rule } of routesOfHost(host))
    for (const filter of [...rule.filters, ...rule.backends.flatMap(({ filters }) => filters)]) {
      if (filter.type === "BasicAuth" || filter.type === "DigestAuth") users.push(filter.users);
      counts ||= filter.type === "RateLimit" || filter.type === "ConnectionLimit" || filter.type === "DigestAuth";
    }
  return users.length > 0 || counts ? { users, counts } : undefined;
});

/** What is shown to endpoints. */
const shownBy = gather<string, Pool, Certificate>(({ tls }) => tls?.client);
