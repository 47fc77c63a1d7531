import { ProviderFailure, type Exposure, type ExposureKey, type ProviderStep } from "../provider/contract.ts";
import type { OpenStackConfig } from "./config.ts";
import { wantedOf, type Wanted } from "./desired.ts";
import { isPending, type Observed, type ObservedListener } from "./model.ts";
import { httpChanges } from "./http-plan.ts";
import { isMade, ownersIn, tagsFor, uidTag } from "./ownership.ts";
import {
  listenerBody,
  listenerChanges,
  memberBody,
  monitorBody,
  partName,
  poolBody,
  poolChanges,
  poolName,
  step,
  type PartKind,
} from "./parts.ts";

/** The newest version of the API, for what has to be known before anything was asked. */
const assumed: readonly [number, number] = [2, 26];
const nameLimit = 255;

/** What brings Octavia from what is there to what a Service asks for, in order. Pure. Throws ProviderFailure. */
export function planOctavia(
  desired: Exposure,
  observed: Observed | undefined,
  config: OpenStackConfig,
): readonly ProviderStep[] {
  const { key } = desired;
  const wanted = wantedOf(desired, config, observed?.version ?? assumed);
  if (!observed) return [beginning(key, wanted, config)];
  const { balancer } = observed;
  const { id, status, address, tags } = balancer;
  const doubles = observed.duplicates.map((one) =>
    step("delete a second load balancer", { do: "destroy", balancer: one }),
  );
  if (isPending(status))
    return [...doubles, step(`wait for the load balancer (${status})`, { do: "wait", balancer: id })];
  if (status === "ERROR") return [...doubles, recovery(observed, config)];
  if (wanted.balancer !== undefined && wanted.balancer !== id) {
    throw refused(
      `annotation load-balancer-id: the Service has the load balancer ${id} and cannot move to ${wanted.balancer}`,
    );
  }
  if (wanted.address !== undefined && wanted.address !== address) {
    throw refused(
      `the address ${wanted.address} is asked for, but the load balancer has ${address}, which cannot be changed`,
    );
  }
  const joining = tags.includes(uidTag(key.uid))
    ? []
    : [step("join the load balancer", { do: "join", key, balancer: id })];
  return [
    ...doubles,
    ...joining,
    ...(wanted.http ? httpChanges(observed, wanted, wanted.http) : changes(observed, wanted)),
  ];
}

function beginning(key: ExposureKey, wanted: Wanted, config: OpenStackConfig): ProviderStep {
  if (wanted.balancer !== undefined) {
    return step(`use the load balancer ${wanted.balancer}`, { do: "join", key, balancer: wanted.balancer });
  }
  const bare = {
    name: `fairlead_${key.cluster}_${key.namespace}_${key.name}`.slice(0, nameLimit),
    description: "Made by Fairlead for a Service of Kubernetes",
    admin_state_up: true,
    tags: tagsFor(key, wanted.group),
    ...(wanted.subnet === undefined ? {} : { vip_subnet_id: wanted.subnet }),
    ...(wanted.network === undefined ? {} : { vip_network_id: wanted.network }),
    ...(wanted.address === undefined ? {} : { vip_address: wanted.address }),
    ...(wanted.flavor === undefined ? {} : { flavor_id: wanted.flavor }),
    ...(wanted.availabilityZone === undefined ? {} : { availability_zone: wanted.availabilityZone }),
    ...(config.driver === undefined ? {} : { provider: config.driver }),
  };
  const listeners = wanted.parts.map((part) => ({
    ...listenerBody(part, key),
    default_pool: {
      ...poolBody(poolName(part), part.pool, key),
      members: part.pool.members.map((member) => memberBody(member, wanted)),
      ...(part.pool.monitor ? { healthmonitor: monitorBody(part.pool.monitor, key) } : {}),
    },
  }));
  const body = config.oneCall ? { ...bare, listeners } : bare;
  const shared = wanted.group === undefined ? {} : { group: wanted.group };
  return step("create the load balancer", { do: "create", key, body, bare, ...shared });
}

function recovery({ balancer: { id, tags } }: Observed, { onError }: OpenStackConfig): ProviderStep {
  const what = `the load balancer ${id} is in ERROR`;
  if (!isMade(tags)) throw new ProviderFailure("Broken", `${what}, and was not made here; its owner has to repair it`);
  if (onError === "leave") throw new ProviderFailure("Broken", `${what}; fail it over, or delete the Service`);
  return step("fail over the load balancer, which is in ERROR", { do: "failover", balancer: id });
}

/** First what is new, then what changes, then what goes: no port that stays is without its listener meanwhile. */
function changes(observed: Observed, wanted: Wanted): readonly ProviderStep[] {
  const { key } = observed;
  const balancer = observed.balancer.id;
  const make: ProviderStep[] = [];
  const change: ProviderStep[] = [];
  const drop: ProviderStep[] = [];
  const used = new Set<string>();
  const remove = (kind: PartKind, id: string, what: string) =>
    drop.push(step(`delete ${what}`, { do: "drop", balancer, kind, id }));

  for (const part of wanted.parts) {
    const name = partName(part);
    const listener = observed.listeners.find((one) => partName(one) === name);
    if (!listener) {
      const find = { protocol: part.protocol, protocol_port: String(part.port) };
      const body = { ...listenerBody(part, key), loadbalancer_id: balancer };
      make.push(step(`create listener ${name}`, { do: "make", balancer, kind: "listeners", body, find }));
      continue;
    }
    if (listener.status === "ERROR") continue;
    const differs = listenerChanges(part, listener);
    if (differs)
      change.push(
        step(`change listener ${name}`, { do: "change", balancer, kind: "listeners", id: listener.id, body: differs }),
      );
    const pool = observed.pools.find(({ id }) => id === listener.pool);
    if (listener.pool !== undefined && (!pool || pool.protocol !== part.pool.protocol || pool.status === "ERROR")) {
      // A pool's protocol cannot be changed: without its pool the listener gets a new one.
      if (pool) change.push(step(`delete pool ${name}`, { do: "drop", balancer, kind: "pools", id: pool.id }));
      else {
        const body = { default_pool_id: null };
        change.push(
          step(`take listener ${name} from its pool`, {
            do: "change",
            balancer,
            kind: "listeners",
            id: listener.id,
            body,
          }),
        );
      }
      if (pool) used.add(pool.id);
      continue;
    }
    if (!pool) {
      const body = { ...poolBody(poolName(part), part.pool, key), listener_id: listener.id };
      make.push(
        step(`create pool ${name}`, { do: "make", balancer, kind: "pools", body, find: { name: poolName(part) } }),
      );
      continue;
    }
    used.add(pool.id);
    change.push(...poolChanges(part, pool, name, balancer, key, wanted));
  }
  const isWanted = (one: ObservedListener) =>
    wanted.parts.some((part) => partName(part) === partName(one)) && one.status !== "ERROR";
  for (const one of observed.listeners) if (!isWanted(one)) remove("listeners", one.id, `listener ${partName(one)}`);
  for (const one of observed.pools) {
    const of = observed.listeners.find(({ pool }) => pool === one.id);
    if (!used.has(one.id)) remove("pools", one.id, `pool ${of ? partName(of) : one.id}`);
  }
  return [...make, ...change, ...drop];
}

/** What leaves nothing behind, in order. A load balancer that others use, or that was not made here, stays without this Service's parts. Pure. */
export function planOctaviaRemoval({ key, balancer, duplicates, listeners, pools }: Observed): readonly ProviderStep[] {
  const { id, status, tags } = balancer;
  const doubles = duplicates.map((one) => step("delete a second load balancer", { do: "destroy", balancer: one }));
  const others = ownersIn(tags, key.cluster).filter(({ uid }) => uid !== key.uid);
  if (isMade(tags) && others.length === 0) {
    if (isPending(status))
      return [...doubles, step(`wait for the load balancer (${status})`, { do: "wait", balancer: id })];
    return [
      ...doubles,
      step("delete the load balancer", { do: "destroy", balancer: id }),
      step("wait until it is gone", { do: "wait", balancer: id }),
    ];
  }
  const drops = [
    ...listeners.map((one) =>
      step(`delete listener ${partName(one)}`, { do: "drop", balancer: id, kind: "listeners", id: one.id }),
    ),
    ...pools.map((one) => step("delete its pool", { do: "drop", balancer: id, kind: "pools", id: one.id })),
  ];
  return [...doubles, ...drops, step("leave the load balancer", { do: "leave", key, balancer: id })];
}

const refused = (message: string) => new ProviderFailure("Refused", message);
