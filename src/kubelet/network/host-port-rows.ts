import { formatIp, type Ip, parseIp } from "../../kube/index.ts";
import { type HostPort, NetworkError } from "./network.ts";

/** One row: packets for this port of the node go to that port of the pod. */
export interface HostPortRow {
  readonly family: "ip" | "ip6";
  /** Ports of one address of the node are asked before those of any. */
  readonly map: "at" | "any";
  readonly key: string;
  readonly value: string;
  readonly protocol: HostPort["protocol"];
  readonly port: number;
  /** The node's address; absent: any. */
  readonly address?: string;
  readonly pod: string;
}

/**
 * The rows of a pod's host ports. A port without an address, or with that of all (0.0.0.0, ::), is at every address of the node of the
 * families that it can be. Throws `NetworkError` for an address that no packet can be led from.
 */
export function hostPortRows(ports: readonly HostPort[], podAddresses: readonly string[]): HostPortRow[] {
  const rows = ports.flatMap(({ protocol, hostPort, hostIP, containerPort }) => {
    const host = hostIP === undefined ? undefined : readAddress(hostIP, hostPort);
    return podAddresses.flatMap((text): HostPortRow[] => {
      const pod = parseIp(text);
      if (!pod || (host && host.family !== pod.family)) return [];
      const place = `${protocol.toLowerCase()} . ${hostPort}`;
      const at = host && host.value !== 0n ? formatIp(host) : undefined;
      return [
        {
          family: pod.family === "IPv6" ? "ip6" : "ip",
          map: at === undefined ? "any" : "at",
          key: at === undefined ? place : `${at} . ${place}`,
          value: `${formatIp(pod)} . ${containerPort}`,
          protocol,
          port: hostPort,
          ...(at === undefined ? {} : { address: at }),
          pod: formatIp(pod),
        },
      ];
    });
  });
  return [...new Map(rows.map((row) => [placeOf(row), row])).values()];
}

/** Two rows of one place cannot be. */
export const placeOf = ({ family, map, key }: HostPortRow): string => `${family} ${map} ${key}`;

function readAddress(hostIP: string, port: number): Ip {
  const read = parseIp(hostIP);
  if (!read) throw new NetworkError("BAD_HOST_IP", `host port ${port}: hostIP ${JSON.stringify(hostIP)} is no address`);
  // The kernel routes nothing from ::1 to another machine.
  if (read.family === "IPv6" && read.value === 1n)
    throw new NetworkError("BAD_HOST_IP", `host port ${port}: hostIP ::1 cannot be led to a pod: use 127.0.0.1`);
  return read;
}

type Changes = Readonly<Record<"add" | "delete", readonly HostPortRow[]>>;

/** The nft commands for the rows of some pods, each whole. */
export function rowCommands(table: string, changes: Changes): string {
  return (["delete", "add"] as const)
    .flatMap((verb) => {
      const lines = changes[verb].flatMap(({ family, map, key, value, pod }) => [
        `${verb} element ${family} ${table} ${map} { ${key} : ${value} }\n`,
        `${verb} element ${family} ${table} selves { ${pod} . ${pod} }\n`,
      ]);
      // A pod with two ports reaches itself once.
      return [...new Set(lines)];
    })
    .join("");
}

/**
 * The program and all its rows, in place of what was there. It is before the Services' own, which has the same hooks, in no order that
 * matters: they have no places in common. A pod that reaches itself by its node, and a client by loopback, are seen as the node; and nobody
 * reaches the node's loopback from outside because of it (CVE-2020-8558).
 */
export function hostPortProgram(table: string, bridge: string, rows: readonly HostPortRow[]): string {
  return (["ip", "ip6"] as const)
    .map((family) => {
      const own = rows.filter((row) => row.family === family);
      return `table ${family} ${table} {}
delete table ${family} ${table}
${tableOf(family, table, bridge)}${rowCommands(table, { delete: [], add: own })}`;
    })
    .join("");
}

function tableOf(family: "ip" | "ip6", table: string, bridge: string): string {
  const type = family === "ip" ? "ipv4_addr" : "ipv6_addr";
  const ofLoopback =
    family === "ip"
      ? `    ip saddr 127.0.0.0/8 oifname "${bridge}" ct status & dnat != 0 masquerade
  }
  chain guard {
    type filter hook prerouting priority -300; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
  }
`
      : "  }\n";
  const lead = `    fib daddr type local goto host-ports\n`;
  return `table ${family} ${table} {
  map any { type inet_proto . inet_service : ${type} . inet_service; }
  map at { type ${type} . inet_proto . inet_service : ${type} . inet_service; }
  set selves { type ${type} . ${type}; }
  chain host-ports {
    dnat ${family} to ${family} daddr . meta l4proto . th dport map @at
    dnat ${family} to meta l4proto . th dport map @any
  }
  chain prerouting {
    type nat hook prerouting priority -101; policy accept;
${lead}  }
  chain output {
    type nat hook output priority -101; policy accept;
${lead}  }
  chain postrouting {
    type nat hook postrouting priority 99; policy accept;
    ct status & dnat != 0 ${family} saddr . ${family} daddr @selves masquerade
${ofLoopback}}
`;
}
