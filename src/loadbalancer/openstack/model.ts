import type { ExposureKey } from "../provider/contract.ts";
import { numberIn, textIn, type Shape } from "../provider/shape.ts";

/** What Octavia says of anything: PENDING_* while it works, and nothing may be written then. */
export type ProvisioningStatus = string;

export interface Member {
  readonly address: string;
  readonly port: number;
  readonly monitorPort?: number;
}

export interface Monitor {
  readonly type: string;
  readonly delay: number;
  readonly timeout: number;
  readonly retries: number;
  readonly path?: string;
}

export interface Pool {
  readonly protocol: string;
  readonly algorithm: string;
  readonly persistence?: string;
  /** Sorted by `memberKey`. */
  readonly members: readonly Member[];
  readonly monitor?: Monitor;
}

/** Numbers of a listener that annotations may set: of Octavia, by their names there. */
export type ListenerLimits = Readonly<Record<string, number>>;

export interface Listener {
  readonly protocol: string;
  readonly port: number;
  /** Sorted; empty: all. */
  readonly cidrs: readonly string[];
  readonly limits: ListenerLimits;
}

export interface ObservedPool extends Pool {
  readonly id: string;
  readonly status: ProvisioningStatus;
  readonly monitorId?: string;
  readonly monitorStatus?: ProvisioningStatus;
  readonly listeners: readonly string[];
  /** Members that could not be made. */
  readonly failed: readonly Member[];
}

export interface ObservedListener extends Listener {
  readonly id: string;
  readonly status: ProvisioningStatus;
  readonly pool?: string;
}

/** What exists for a Service. */
export interface Observed {
  readonly key: ExposureKey;
  readonly version: readonly [number, number];
  readonly balancer: Balancer;
  /** Further ones for the same Service, made by two who did not know of each other. */
  readonly duplicates: readonly string[];
  readonly listeners: readonly ObservedListener[];
  readonly pools: readonly ObservedPool[];
}

export interface Balancer {
  readonly id: string;
  readonly name: string;
  readonly status: ProvisioningStatus;
  readonly address: string;
  readonly created: string;
  readonly tags: readonly string[];
}

export const isPending = (status: ProvisioningStatus): boolean => status.startsWith("PENDING");

export const memberKey = ({ address, port }: Member): string => `${address} ${port}`;
export const bySortKey = (a: Member, b: Member): number => (memberKey(a) < memberKey(b) ? -1 : 1);

/** Names of numbers of a listener, in Octavia, with what they are when nobody says anything. */
export const limitDefaults: ListenerLimits = {
  connection_limit: -1,
  timeout_client_data: 50_000,
  timeout_member_connect: 5_000,
  timeout_member_data: 50_000,
  timeout_tcp_inspect: 0,
};

export function readBalancer(one: Shape): Balancer {
  return {
    id: one.at("id").text(),
    name: one.at("name").text(),
    status: one.at("provisioning_status").text(),
    address: textIn(one.at("vip_address")) ?? "",
    created: textIn(one.at("created_at")) ?? "",
    tags: one.at("tags").isAbsent()
      ? []
      : one
          .at("tags")
          .list()
          .map((tag) => tag.text()),
  };
}

export function readListener(one: Shape): ObservedListener {
  const pool = textIn(one.at("default_pool_id"));
  const limits = Object.entries(limitDefaults).map(([name, usual]) => [name, numberIn(one.at(name)) ?? usual] as const);
  return {
    id: one.at("id").text(),
    status: one.at("provisioning_status").text(),
    protocol: one.at("protocol").text(),
    port: one.at("protocol_port").number(),
    cidrs: one.at("allowed_cidrs").isAbsent()
      ? []
      : one
          .at("allowed_cidrs")
          .list()
          .map((cidr) => cidr.text())
          .sort(),
    limits: Object.fromEntries(limits),
    ...(pool === undefined ? {} : { pool }),
  };
}

export function readPool(one: Shape, members: readonly Shape[], monitor: Shape | undefined): ObservedPool {
  const persistence = one.at("session_persistence");
  const read = members.map((member) => ({
    member: readMember(member),
    status: member.at("provisioning_status").text(),
  }));
  return {
    id: one.at("id").text(),
    status: one.at("provisioning_status").text(),
    protocol: one.at("protocol").text(),
    algorithm: one.at("lb_algorithm").text(),
    ...(persistence.isAbsent() ? {} : { persistence: persistence.at("type").text() }),
    listeners: one.at("listeners").isAbsent()
      ? []
      : one
          .at("listeners")
          .list()
          .map((of) => of.at("id").text()),
    members: read.map(({ member }) => member).sort(bySortKey),
    failed: read.filter(({ status }) => status === "ERROR").map(({ member }) => member),
    ...(monitor === undefined
      ? {}
      : {
          monitorId: monitor.at("id").text(),
          monitorStatus: monitor.at("provisioning_status").text(),
          monitor: readMonitor(monitor),
        }),
  };
}

function readMember(one: Shape): Member {
  const monitorPort = numberIn(one.at("monitor_port"));
  return {
    address: one.at("address").text(),
    port: one.at("protocol_port").number(),
    ...(monitorPort === undefined ? {} : { monitorPort }),
  };
}

function readMonitor(one: Shape): Monitor {
  const path = textIn(one.at("url_path"));
  return {
    type: one.at("type").text(),
    delay: one.at("delay").number(),
    timeout: one.at("timeout").number(),
    retries: one.at("max_retries").number(),
    ...(path === undefined ? {} : { path }),
  };
}
