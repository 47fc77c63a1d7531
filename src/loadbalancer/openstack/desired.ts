import { ProviderFailure, type Exposure, type ExposurePort, type ExposureTarget } from "../provider/contract.ts";
import type { OpenStackConfig } from "./config.ts";
import {
  bySortKey,
  limitDefaults,
  type L7Rule,
  type Listener,
  type ListenerLimits,
  type Monitor,
  type Pool,
} from "./model.ts";
import { httpOf } from "./http.ts";

/** A port of a Service, as Octavia has it. */
export interface Part extends Listener {
  readonly pool: Pool;
}

/** An Ingress as Octavia has it. */
export interface Http {
  readonly listener: Listener;
  /** By name. */
  readonly pools: ReadonlyMap<string, Pool>;
  /** In the order in which they are tried; `pool` is a name. */
  readonly policies: readonly { readonly name: string; readonly pool: string; readonly rules: readonly L7Rule[] }[];
  /** Name of the pool where the rest goes; absent: nowhere, Octavia says 503. */
  readonly fallback?: string;
}

/** A Service or an Ingress as Octavia has it. */
export interface Wanted {
  readonly parts: readonly Part[];
  /** With it, it is an Ingress, and has no parts. */
  readonly http?: Http;
  /** The load balancer of someone else that is used. */
  readonly balancer?: string;
  /** Services that say the same word have one load balancer. */
  readonly group?: string;
  readonly address?: string;
  readonly subnet?: string;
  readonly network?: string;
  readonly memberSubnet?: string;
  readonly flavor?: string;
  readonly availabilityZone?: string;
}

/** Annotations begin with one of these; the second are the words of cloud-provider-openstack, where it has the same. */
export const annotationPrefixes = ["openstack.fairlead.dev/", "loadbalancer.openstack.org/"] as const;

const limitNames = Object.keys(limitDefaults);
const known = new Set([
  "load-balancer-id",
  "share",
  "proxy-protocol",
  "subnet-id",
  "network-id",
  "member-subnet-id",
  "flavor-id",
  "availability-zone",
  "enable-health-monitor",
  "health-monitor-delay",
  "health-monitor-timeout",
  "health-monitor-max-retries",
  "lb-method",
  // Written by cloud-provider-openstack; it asks for nothing.
  "load-balancer-address",
  ...limitNames.map((name) => name.replaceAll("_", "-")),
]);

const refuse = (message: string) => new ProviderFailure("Refused", message);

/** What a Service asks for. Throws ProviderFailure Refused, with the annotation's name and what would be right. */
export function wantedOf(exposure: Exposure, config: OpenStackConfig, version: readonly [number, number]): Wanted {
  const notes = annotationsOf(exposure);
  const at = (minor: number, what: string) => {
    if (version[1] < minor) throw refuse(`${what} needs Octavia's API 2.${minor}; the server speaks 2.${version[1]}`);
  };
  if (exposure.sourceRanges.length > 0) at(12, "spec.loadBalancerSourceRanges");
  const address = exposure.requestedAddress;
  const some = <K extends string>(name: K, value: string | undefined) =>
    (value === undefined ? {} : { [name]: value }) as Partial<Record<K, string>>;
  const network = notes.id("network-id") ?? (notes.id("subnet-id") === undefined ? config.network : undefined);
  return {
    parts: exposure.http ? [] : exposure.ports.map((port) => partOf(port, exposure, config, notes, at)),
    ...(exposure.http ? { http: httpOf(exposure.http, exposure, poolParts(exposure, config, notes)) } : {}),
    ...some("balancer", notes.id("load-balancer-id")),
    ...some("group", notes.word("share")),
    ...some("address", address),
    ...some("subnet", notes.id("subnet-id") ?? config.subnet),
    ...some("network", network),
    ...some("memberSubnet", notes.id("member-subnet-id") ?? config.memberSubnet),
    ...some("flavor", notes.id("flavor-id") ?? config.flavor),
    ...some("availabilityZone", notes.word("availability-zone") ?? config.availabilityZone),
  };
}

function partOf(
  { protocol, port, nodePort = 0 }: ExposurePort,
  exposure: Exposure,
  config: OpenStackConfig,
  notes: Notes,
  at: (minor: number, what: string) => void,
): Part {
  const { healthCheckNodePort, targets, sessionAffinity, sourceRanges, families } = exposure;
  const members = membersAt(targets, families, nodePort, healthCheckNodePort);
  const proxy = notes.text("proxy-protocol");
  if (proxy !== undefined && !/^(true|false|v1|v2)$/.test(proxy)) {
    throw refuse(`${notes.name("proxy-protocol")}: ${JSON.stringify(proxy)} is none of true, false, v1, v2`);
  }
  const wantsProxy = proxy !== undefined && proxy !== "false";
  if (wantsProxy && protocol !== "TCP")
    throw refuse(`${notes.name("proxy-protocol")}: only TCP has it, not ${protocol}`);
  if (proxy === "v2") at(22, notes.name("proxy-protocol"));
  if (protocol === "SCTP") at(23, "SCTP");
  if (protocol === "UDP" && healthCheckNodePort) at(16, "spec.externalTrafficPolicy Local with UDP");
  const algorithm = algorithmOf(notes, config);
  const monitor = monitorOf(protocol, healthCheckNodePort !== undefined, config, notes);
  return {
    protocol,
    port,
    headers: [],
    cidrs: sourceRanges.map((cidr) => (cidr.includes("/") ? cidr : `${cidr}/${cidr.includes(":") ? 128 : 32}`)).sort(),
    limits: limitsOf(notes),
    pool: {
      protocol: wantsProxy ? (proxy === "v2" ? "PROXYV2" : "PROXY") : protocol,
      algorithm,
      ...(sessionAffinity === "ClientIP" ? { persistence: "SOURCE_IP" } : {}),
      members,
      ...(monitor ? { monitor } : {}),
    },
  };
}

/** What all pools of an Ingress have, and its listener's limits. */
function poolParts(exposure: Exposure, config: OpenStackConfig, notes: Notes) {
  if (notes.text("proxy-protocol") !== undefined)
    throw refuse(`${notes.name("proxy-protocol")}: an Ingress has headers in its place; remove it`);
  const monitor = monitorOf("TCP", false, config, notes);
  const algorithm = algorithmOf(notes, config);
  return {
    limits: limitsOf(notes),
    pool: (nodePort: number): Pool => ({
      protocol: "HTTP",
      algorithm,
      members: membersAt(exposure.targets, exposure.families, nodePort),
      ...(monitor ? { monitor } : {}),
    }),
  };
}

/** The nodes, at a port. */
function membersAt(
  targets: readonly ExposureTarget[],
  families: Exposure["families"],
  port: number,
  monitorPort?: number,
) {
  const isV6 = families[0] === "IPv6";
  const members = targets.flatMap(({ addresses }) => {
    const address = addresses.find((one) => one.includes(":") === isV6);
    return address === undefined ? [] : [{ address, port, ...(monitorPort ? { monitorPort } : {}) }];
  });
  return members.sort(bySortKey);
}

function algorithmOf(notes: Notes, config: OpenStackConfig): string {
  const algorithm = notes.text("lb-method") ?? config.algorithm;
  if (!/^(ROUND_ROBIN|LEAST_CONNECTIONS|SOURCE_IP|SOURCE_IP_PORT)$/.test(algorithm)) {
    const words = "ROUND_ROBIN, LEAST_CONNECTIONS, SOURCE_IP, SOURCE_IP_PORT";
    throw refuse(`${notes.name("lb-method")}: ${JSON.stringify(algorithm)} is none of ${words}`);
  }
  return algorithm;
}

function monitorOf(protocol: string, isLocal: boolean, config: OpenStackConfig, notes: Notes): Monitor | undefined {
  // Policy Local rests on it: who has no endpoint must be seen.
  if (!isLocal && notes.flag("enable-health-monitor") === false) return undefined;
  const type = isLocal ? "HTTP" : protocol === "UDP" ? "UDP-CONNECT" : protocol;
  const monitor = {
    type,
    delay: notes.whole("health-monitor-delay", 1, 3_600) ?? config.monitor.delay,
    timeout: notes.whole("health-monitor-timeout", 1, 3_600) ?? config.monitor.timeout,
    retries: notes.whole("health-monitor-max-retries", 1, 10) ?? config.monitor.retries,
    ...(isLocal ? { path: "/healthz" } : {}),
  };
  if (monitor.delay < monitor.timeout) {
    throw refuse(`health monitor: the delay, ${monitor.delay} s, may not be below the time-out, ${monitor.timeout} s`);
  }
  // Octavia takes no UDP monitor that is quicker.
  return type === "UDP-CONNECT" ? { ...monitor, delay: Math.max(monitor.delay, 3) } : monitor;
}

function limitsOf(notes: Notes): ListenerLimits {
  const all = Object.entries(limitDefaults).map(([name, usual]) => {
    const least = name === "connection_limit" ? -1 : 0;
    return [name, notes.whole(name.replaceAll("_", "-"), least, 365 * 86_400_000) ?? usual] as const;
  });
  return Object.fromEntries(all);
}

interface Notes {
  /** Under which name it was given, for messages. */
  name(word: string): string;
  text(word: string): string | undefined;
  /** An identifier of OpenStack: a UUID. */
  id(word: string): string | undefined;
  /** Letters, digits, `.`, `_`, `-`: at most 63. */
  word(word: string): string | undefined;
  whole(word: string, least: number, most: number): number | undefined;
  flag(word: string): boolean | undefined;
}

function annotationsOf({ annotations }: Exposure): Notes {
  const given = new Map<string, { name: string; value: string }>();
  // Ours count where both are given.
  for (const prefix of annotationPrefixes.toReversed()) {
    for (const [name, value] of Object.entries(annotations)) {
      if (!name.startsWith(prefix)) continue;
      const word = name.slice(prefix.length);
      if (!known.has(word))
        throw refuse(`annotation ${name} is not supported; there are ${[...known].sort().join(", ")}`);
      given.set(word, { name, value: value.trim() });
    }
  }
  const notes: Notes = {
    name: (word) => `annotation ${given.get(word)?.name ?? `${annotationPrefixes[0]}${word}`}`,
    text: (word) => given.get(word)?.value,
    id: (word) => matching(word, /^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/i, "a UUID"),
    word: (word) => matching(word, /^[A-Za-z0-9._-]{1,63}$/, "letters, digits, '.', '_' and '-', at most 63,"),
    whole(word, least, most) {
      const text = notes.text(word);
      if (text === undefined) return undefined;
      const number = /^-?\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
      if (number >= least && number <= most) return number;
      throw refuse(
        `${notes.name(word)}: a whole number from ${least} to ${most} is needed, not ${JSON.stringify(text)}`,
      );
    },
    flag(word) {
      const text = notes.text(word);
      if (text === undefined || text === "true" || text === "false")
        return text === undefined ? undefined : text === "true";
      throw refuse(`${notes.name(word)}: true or false is needed, not ${JSON.stringify(text)}`);
    },
  };
  const matching = (word: string, form: RegExp, what: string) => {
    const text = notes.text(word);
    if (text === undefined || form.test(text)) return text;
    throw refuse(`${notes.name(word)}: ${what} is needed, not ${JSON.stringify(text).slice(0, 100)}`);
  };
  return notes;
}
