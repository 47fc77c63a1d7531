import { bitsOf, formatIp, parseIp, type IpFamily } from "../../kube/index.ts";
import type { VrrpInstance } from "./plan.ts";

/** Something does not fit into keepalived's configuration. */
export class VipConfigError extends Error {
  readonly code = "VIP_CONFIG";
}

/** Files of one daemon. */
export interface VipFiles {
  readonly config: string;
  readonly fifo: string;
  /** The file that bars an instance from holding its addresses: other than 0 means barred. */
  readonly bar: (instance: string) => string;
}

/**
 * keepalived's configuration: the only place where it is written. Every value is checked by its own grammar, so no text of a user can become a
 * line of it. Throws VipConfigError.
 *
 * `nopreempt`: a node that comes back takes nothing from who holds it. What moves is moved by the holder, who bars itself.
 */
export function keepalivedConfig(
  instances: readonly VrrpInstance[],
  files: VipFiles,
  interfaceOf: (instance: VrrpInstance) => string,
): string {
  return [
    "global_defs {",
    "  vrrp_version 3",
    "  vrrp_garp_master_delay 1",
    "  vrrp_garp_master_repeat 3",
    "  vrrp_garp_master_refresh 60",
    "  vrrp_no_swap",
    `  vrrp_notify_fifo ${path(files.fifo)}`,
    "}",
    ...instances.flatMap((one) => instanceLines(one, files, interfaceOf(one))),
    "",
  ].join("\n");
}

function instanceLines(one: VrrpInstance, files: VipFiles, device: string): string[] {
  const { family } = one;
  const dev = interfaceName(device);
  const name = instanceName(one.name);
  const address = (text: string) => `    ${addressOf(text, family)}/${bitsOf(family)} dev ${dev}`;
  const [first = "", ...others] = one.addresses;
  const interval = whole(one.advertisementIntervalMs, 10, 40_950, "the advertisement interval") / 1000;
  return [
    `track_file bar-${name} {`,
    `  file ${path(files.bar(name))}`,
    "  weight 0",
    "}",
    `vrrp_instance ${name} {`,
    "  state BACKUP",
    "  nopreempt",
    `  interface ${dev}`,
    `  virtual_router_id ${whole(one.group, 1, 255, "the VRRP router id")}`,
    `  priority ${whole(one.priority, 1, 254, "the priority")}`,
    `  advert_int ${interval}`,
    `  unicast_src_ip ${addressOf(one.source, family)}`,
    // Adverts that came through a router are forged (RFC 9568, 5.1.1.3 and 5.1.2.3).
    "  unicast_ttl 255",
    "  unicast_peer {",
    ...one.peers.map((peer) => `    ${addressOf(peer, family)} min_ttl 255 max_ttl 255`),
    "  }",
    "  track_file {",
    `    bar-${name}`,
    "  }",
    "  virtual_ipaddress {",
    address(first),
    "  }",
    // Only the first address is in the adverts: nodes that hear of a further one a moment later go on understanding each other.
    ...(others.length > 0 ? ["  virtual_ipaddress_excluded {", ...others.map(address), "  }"] : []),
    "}",
  ];
}

function addressOf(text: string, family: IpFamily): string {
  const ip = parseIp(text);
  if (!ip || ip.family !== family) throw wrong(`${JSON.stringify(text)} is not an ${family} address`);
  return formatIp(ip);
}

/** Of a network interface: what the kernel and keepalived both take. */
export function interfaceName(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(text))
    throw wrong(`${JSON.stringify(text)} is not an interface's name`);
  return text;
}

function instanceName(text: string): string {
  if (!/^v[46]-\d{1,3}$/.test(text)) throw wrong(`${JSON.stringify(text)} is not an instance's name`);
  return text;
}

function whole(value: number, least: number, most: number, what: string): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw wrong(`${what} is ${value}, but has to be a whole number from ${least} to ${most}`);
  }
  return value;
}

function path(text: string): string {
  if (!/^\/[A-Za-z0-9_./-]{1,200}$/.test(text)) {
    throw wrong(`the path ${JSON.stringify(text)} has characters that keepalived's configuration cannot hold`);
  }
  return text;
}

const wrong = (message: string) => new VipConfigError(message);
