import { isDeepStrictEqual } from "node:util";
import type { ExposureKey, ProviderStep } from "../provider/contract.ts";
import type { Wanted } from "./desired.ts";
import {
  memberKey,
  type L7Rule,
  type Listener,
  type Member,
  type Monitor,
  type ObservedListener,
  type ObservedPool,
  type Pool,
} from "./model.ts";
import { uidTag } from "./ownership.ts";

/** Parts of a load balancer: what is made, changed and removed by itself. */
export type PartKind = "listeners" | "pools" | "healthmonitors" | "l7policies";

/** What `apply` is given. All carry the key: whose it is. */
export type OctaviaStep =
  | {
      readonly do: "create";
      readonly key: ExposureKey;
      readonly body: object;
      /** The same without its parts, for providers that cannot make all at once. */
      readonly bare: object;
      readonly group?: string;
    }
  | { readonly do: "join"; readonly key: ExposureKey; readonly balancer: string }
  | { readonly do: "leave"; readonly key: ExposureKey; readonly balancer: string }
  | { readonly do: "wait" | "failover" | "destroy"; readonly balancer: string }
  | {
      readonly do: "make";
      readonly balancer: string;
      readonly kind: PartKind;
      readonly body: object;
      /** Finds it when it is there already. */
      readonly find: Readonly<Record<string, string>>;
    }
  | {
      readonly do: "change";
      readonly balancer: string;
      readonly kind: PartKind;
      readonly id: string;
      readonly body: object;
    }
  | { readonly do: "drop"; readonly balancer: string; readonly kind: PartKind; readonly id: string }
  | { readonly do: "rule"; readonly balancer: string; readonly policy: string; readonly rule: L7Rule }
  | { readonly do: "members"; readonly balancer: string; readonly pool: string; readonly members: readonly object[] };

export const step = (summary: string, input: OctaviaStep): ProviderStep => ({ summary, input });
export const partName = ({ protocol, port }: { protocol: string; port: number }) => `${port}/${protocol}`;

/** What makes a pool like one that is wanted, of the same protocol. */
export function poolChanges(
  part: { readonly pool: Pool },
  pool: ObservedPool,
  name: string,
  balancer: string,
  key: ExposureKey,
  wanted: Wanted,
): readonly ProviderStep[] {
  const steps: ProviderStep[] = [];
  const { members, monitor, algorithm, persistence } = part.pool;
  if (pool.algorithm !== algorithm || pool.persistence !== persistence) {
    const body = {
      lb_algorithm: algorithm,
      session_persistence: persistence === undefined ? null : { type: persistence },
    };
    steps.push(step(`change pool ${name}`, { do: "change", balancer, kind: "pools", id: pool.id, body }));
  }
  // What could not be made is taken out first, and is made anew in the next round.
  const failed = new Set(pool.failed.map(memberKey));
  const possible = members.filter((member) => !failed.has(memberKey(member)));
  if (!isDeepStrictEqual(pool.members, possible)) {
    const list = possible.map((member) => memberBody(member, wanted));
    const summary = `set ${list.length} members of ${name}`;
    steps.push(step(summary, { do: "members", balancer, pool: pool.id, members: list }));
  }
  const { monitor: found, monitorId, monitorStatus } = pool;
  if (monitorId !== undefined && (!monitor || monitor.type !== found?.type || monitorStatus === "ERROR")) {
    const summary = `delete health monitor ${name}`;
    steps.push(step(summary, { do: "drop", balancer, kind: "healthmonitors", id: monitorId }));
  } else if (monitor && monitorId === undefined) {
    const body = { ...monitorBody(monitor, key), pool_id: pool.id };
    const find = { pool_id: pool.id };
    steps.push(step(`create health monitor ${name}`, { do: "make", balancer, kind: "healthmonitors", body, find }));
  } else if (monitor && monitorId !== undefined && found && !sameMonitor(monitor, found)) {
    const { type: _, tags: __, ...body } = monitorBody(monitor, key);
    const summary = `change health monitor ${name}`;
    steps.push(step(summary, { do: "change", balancer, kind: "healthmonitors", id: monitorId, body }));
  }
  return steps;
}

/** Octavia fills in a path where none was asked for. */
const sameMonitor = (wanted: Monitor, found: Monitor) =>
  isDeepStrictEqual(wanted, wanted.path === undefined ? { ...found, path: undefined } : found) ||
  isDeepStrictEqual(
    { ...wanted, path: undefined },
    { ...found, path: wanted.path === undefined ? undefined : found.path },
  );

export function listenerChanges(part: Listener, found: ObservedListener): object | undefined {
  const limits = Object.entries(part.limits).filter(([name, value]) => found.limits[name] !== value);
  const cidrs = isDeepStrictEqual(part.cidrs, found.cidrs)
    ? {}
    : { allowed_cidrs: part.cidrs.length > 0 ? part.cidrs : null };
  const headers = isDeepStrictEqual(part.headers, found.headers) ? {} : { insert_headers: headersBody(part) };
  const body = { ...Object.fromEntries(limits), ...cidrs, ...headers };
  return Object.keys(body).length > 0 ? body : undefined;
}

const headersBody = ({ headers }: Listener) => Object.fromEntries(headers.map((name) => [name, "true"]));

export const poolName = ({ protocol, port }: Listener) => `${protocol.toLowerCase()}-${port}`;

export function listenerBody(part: Listener, key: ExposureKey) {
  const { protocol, port, cidrs, limits } = part;
  return {
    name: poolName(part),
    protocol,
    protocol_port: port,
    tags: [uidTag(key.uid)],
    ...limits,
    ...(part.headers.length > 0 ? { insert_headers: headersBody(part) } : {}),
    ...(cidrs.length > 0 ? { allowed_cidrs: cidrs } : {}),
  };
}

export function poolBody(name: string, pool: Pool, key: ExposureKey) {
  const { protocol, algorithm, persistence } = pool;
  return {
    name,
    protocol,
    lb_algorithm: algorithm,
    tags: [uidTag(key.uid)],
    ...(persistence === undefined ? {} : { session_persistence: { type: persistence } }),
  };
}

export function memberBody({ address, port, monitorPort }: Member, { memberSubnet }: Wanted) {
  return {
    address,
    protocol_port: port,
    ...(monitorPort === undefined ? {} : { monitor_port: monitorPort }),
    ...(memberSubnet === undefined ? {} : { subnet_id: memberSubnet }),
  };
}

export function monitorBody({ type, delay, timeout, retries, path }: Monitor, key: ExposureKey) {
  return {
    type,
    delay,
    timeout,
    max_retries: retries,
    tags: [uidTag(key.uid)],
    ...(path === undefined ? {} : { http_method: "GET", url_path: path, expected_codes: "200" }),
  };
}
