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
  /** Headers that tell of the client: with HTTP only. Sorted. */
  readonly headers: readonly string[];
  /** Sorted; empty: all. */
  readonly cidrs: readonly string[];
  readonly limits: ListenerLimits;
}

export interface ObservedPool extends Pool {
  readonly id: string;
  readonly name: string;
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

/** One condition of a policy, in Octavia's words. */
export interface L7Rule {
  readonly type: "HOST_NAME" | "PATH";
  readonly compare: "EQUAL_TO" | "STARTS_WITH" | "REGEX";
  readonly value: string;
}

/** Where requests go that meet all its rules. */
export interface ObservedPolicy {
  readonly id: string;
  /** It says what the policy is: it is made anew, not changed. */
  readonly name: string;
  readonly status: ProvisioningStatus;
  readonly listener: string;
  readonly pool?: string;
  readonly position: number;
  /** One whose rules are not all there is off. */
  readonly isOn: boolean;
  readonly rules: readonly { readonly type: string; readonly compare: string; readonly value: string }[];
}

/** What exists for a Service or an Ingress. */
export interface Observed {
  readonly key: ExposureKey;
  readonly version: readonly [number, number];
  readonly balancer: Balancer;
  /** Further ones for the same Service, made by two who did not know of each other. */
  readonly duplicates: readonly string[];
  readonly listeners: readonly ObservedListener[];
  readonly pools: readonly ObservedPool[];
  /** In the order in which they are tried. */
  readonly policies: readonly ObservedPolicy[];
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
    headers: one.at("insert_headers").isAbsent()
      ? []
      : one
          .at("insert_headers")
          .entries()
          .filter(([, value]) => value.value === "true")
          .map(([name]) => name)
          .sort(),
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
    name: textIn(one.at("name")) ?? "",
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

export function readPolicy(one: Shape, rules: readonly Shape[]): ObservedPolicy {
  const pool = textIn(one.at("redirect_pool_id"));
  const isWhole = rules.every((rule) => rule.at("provisioning_status").text() !== "ERROR");
  return {
    id: one.at("id").text(),
    name: textIn(one.at("name")) ?? "",
    // A rule that could not be made spoils it.
    status: isWhole ? one.at("provisioning_status").text() : "ERROR",
    listener: one.at("listener_id").text(),
    ...(pool === undefined ? {} : { pool }),
    position: one.at("position").number(),
    isOn: one.at("admin_state_up").flag(),
    rules: rules.map((rule) => ({
      type: rule.at("type").text(),
      compare: rule.at("compare_type").text(),
      value: rule.at("value").text(),
    })),
  };
}
