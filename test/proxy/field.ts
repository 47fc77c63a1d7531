import { runOrThrow, systemCommands, type CommandRunner } from "../../src/system/index.ts";
import type { Family } from "../../src/services/index.ts";
import { enter, startAgent, type Agent } from "./lab.ts";

/**
 * Two nodes with pods of their own and a machine outside, all of them with addresses of both families:
 *
 *     outside ── node1 ── pods1, client    outside 192.168.77.2, 192.168.78.2       fd77::2, fd78::2
 *        │         │                       node1   192.168.77.1, 192.168.79.1       fd77::1, fd79::1
 *        └────── node2 ── pods2            node2   192.168.78.1, 192.168.79.2       fd78::1, fd79::2
 *                                          pods    10.42.2.0/24, 10.42.3.0/24       fd42:2::/64, fd42:3::/64
 *                                          client  10.42.4.2, a pod of the first node  fd42:4::2
 *                                          client2 10.42.5.2, a pod of the second      fd42:5::2
 */
export interface Field {
  readonly outside: Agent;
  readonly node1: Agent;
  readonly node2: Agent;
  /** A pod that is no endpoint, on the first node. */
  readonly client: Agent;
  /** The same on the second node. */
  readonly client2: Agent;
  readonly pods1: Agent;
  readonly pods2: Agent;
  /** Runs commands on the second node. */
  readonly onNode2: CommandRunner;
  /** Network namespace of the second node. */
  readonly namespace2: string;
  close(): Promise<void>;
}

export const families: readonly Family[] = ["IPv4", "IPv6"];
export const podCount = 12;

const at = (family: Family, four: string, six: string): string => (family === "IPv4" ? four : six);

/** Addresses of the field by family, and by the node whose proxy is looked at: `local` and `node1` are that one's. */
export function addressesOf(family: Family, seenFrom: 1 | 2 = 1) {
  const is1 = seenFrom === 1;
  const pods = (net: number) => (i: number) =>
    at(family, `10.42.${net}.${i + 2}`, `fd42:${net}::${(i + 2).toString(16)}`);
  const [local, remote] = is1 ? [pods(2), pods(3)] : [pods(3), pods(2)];
  const first = at(family, "192.168.79.1", "fd79::1");
  const second = at(family, "192.168.79.2", "fd79::2");
  return {
    pod: (name: string) => (name.startsWith("l") ? local : remote)(Number(name.slice(1))),
    /** Pods of the node itself, and of the other. */
    local,
    remote,
    clientPod: is1 ? at(family, "10.42.4.2", "fd42:4::2") : at(family, "10.42.5.2", "fd42:5::2"),
    remotePod: is1 ? at(family, "10.42.3.200", "fd42:3::200") : at(family, "10.42.2.200", "fd42:2::200"),
    outside: is1 ? at(family, "192.168.77.2", "fd77::2") : at(family, "192.168.78.2", "fd78::2"),
    node1: is1 ? at(family, "192.168.77.1", "fd77::1") : at(family, "192.168.78.1", "fd78::1"),
    /** Another address of the node, to which the other is linked. */
    node1Link: is1 ? first : second,
    node2: is1 ? second : first,
    gateway: is1 ? at(family, "10.42.2.1", "fd42:2::1") : at(family, "10.42.3.1", "fd42:3::1"),
    /** An address of the machine outside that serves there itself. */
    elsewhere: at(family, "198.51.100.1", "2001:db8:100::1"),
    pods: at(family, "10.42.0.0/16", "fd42::/16"),
    services: at(family, "10.96.0.0/16", "fd96::/64"),
  };
}

/** What a process must answer for without the kernel's help, in user space: as addresses of its own. */
const served = ["10.96.0.0/16", "203.0.113.0/24", "10.97.0.0/16", "fd96::/64", "2001:db8:113::/64", "fd97::/64"];

const ip = (...args: string[]) => runOrThrow(systemCommands, "ip", args);

/** Builds it, moves this process into the first node, and serves on the pods. */
export async function createField(): Promise<Field> {
  const name = (part: string) => `fl-${part}-${process.pid}`;
  const names = ["out", "n1", "n2", "p1", "p2", "cl", "cl2"].map(name);
  const [out = "", n1 = "", n2 = "", p1 = "", p2 = "", cl = "", cl2 = ""] = names;
  for (const one of names) {
    await ip("netns", "add", one);
    await ip("-n", one, "link", "set", "lo", "up");
  }
  const cables: [string, string, string, string][] = [
    [n1, "c0", out, "n1"],
    [n2, "c0", out, "n2"],
    [n1, "n0", n2, "n0"],
    [n1, "p0", p1, "eth0"],
    [n2, "p0", p2, "eth0"],
    [n1, "p1", cl, "eth0"],
    [n2, "p1", cl2, "eth0"],
  ];
  for (const [a, first, b, second] of cables) {
    await ip("-n", a, "link", "add", first, "type", "veth", "peer", "name", second, "netns", b);
  }
  const pods = (net: number, v6: string) => [
    ...[...Array(podCount).keys(), 198].map((i) => `10.42.${net}.${i + 2}/24`),
    ...[...Array(podCount).keys(), 0x1fe].map((i) => `${v6}${(i + 2).toString(16)}/64`),
  ];
  const addresses: [string, string, string[]][] = [
    [out, "n1", ["192.168.77.2/24", "fd77::2/64"]],
    [out, "n2", ["192.168.78.2/24", "fd78::2/64"]],
    [out, "lo", ["198.51.100.1/32", "2001:db8:100::1/128"]],
    [n1, "c0", ["192.168.77.1/24", "fd77::1/64"]],
    [n1, "n0", ["192.168.79.1/24", "fd79::1/64"]],
    [n1, "p0", ["10.42.2.1/24", "fd42:2::1/64"]],
    [n2, "c0", ["192.168.78.1/24", "fd78::1/64"]],
    [n2, "n0", ["192.168.79.2/24", "fd79::2/64"]],
    [n2, "p0", ["10.42.3.1/24", "fd42:3::1/64"]],
    [n1, "p1", ["10.42.4.1/24", "fd42:4::1/64"]],
    [n2, "p1", ["10.42.5.1/24", "fd42:5::1/64"]],
    [cl, "eth0", ["10.42.4.2/24", "fd42:4::2/64"]],
    [cl2, "eth0", ["10.42.5.2/24", "fd42:5::2/64"]],
    [p1, "eth0", pods(2, "fd42:2::")],
    [p2, "eth0", pods(3, "fd42:3::")],
  ];
  for (const [space, device, list] of addresses) {
    const lines = list.map((address) => `address add ${address} dev ${device}${address.includes(":") ? " nodad" : ""}`);
    const input = [...lines, `link set ${device} up`].join("\n");
    await runOrThrow(systemCommands, "ip", ["-n", space, "-batch", "-"], { input });
  }
  const routes: [string, string][] = [
    [out, "default via 192.168.77.1"],
    [out, "default via fd77::1"],
    [p1, "default via 10.42.2.1"],
    [p1, "default via fd42:2::1"],
    [cl, "default via 10.42.4.1"],
    [cl, "default via fd42:4::1"],
    [cl2, "default via 10.42.5.1"],
    [cl2, "default via fd42:5::1"],
    [p2, "default via 10.42.3.1"],
    [p2, "default via fd42:3::1"],
    [n1, "default via 192.168.77.2"],
    [n1, "default via fd77::2"],
    [n2, "default via 192.168.78.2"],
    [n2, "default via fd78::2"],
    [n1, "10.42.3.0/24 via 192.168.79.2"],
    [n1, "fd42:3::/64 via fd79::2"],
    [n1, "10.42.5.0/24 via 192.168.79.2"],
    [n1, "fd42:5::/64 via fd79::2"],
    [n1, "192.168.78.0/24 via 192.168.79.2"],
    [n1, "fd78::/64 via fd79::2"],
    [n2, "10.42.2.0/24 via 192.168.79.1"],
    [n2, "fd42:2::/64 via fd79::1"],
    [n2, "10.42.4.0/24 via 192.168.79.1"],
    [n2, "fd42:4::/64 via fd79::1"],
    [n2, "192.168.77.0/24 via 192.168.79.1"],
    [n2, "fd77::/64 via fd79::1"],
  ];
  for (const [space, route] of routes) await ip("-n", space, "route", "add", ...route.split(" "));
  await routesToServices("add", {
    run: (file, args) => systemCommands.run("ip", ["netns", "exec", n2, file, ...args]),
  });
  // Answers to an address of the outside machine at the second node go back that way.
  for (const [kind, from, via] of [
    ["-4", "192.168.78.2", "192.168.78.1"],
    ["-6", "fd78::2", "fd78::1"],
  ] as const) {
    await ip(kind, "-n", out, "rule", "add", "from", from, "table", "78");
    await ip(kind, "-n", out, "route", "add", "default", "via", via, "table", "78");
  }
  for (const node of [n1, n2]) {
    const settings = [
      "net.ipv4.ip_forward=1",
      "net.ipv6.conf.all.forwarding=1",
      "net.ipv4.conf.all.send_redirects=0",
      "net.ipv4.icmp_ratelimit=0",
      "net.ipv6.icmp.ratelimit=0",
      ...["c0", "n0", "p0", "p1"].map((device) => `net.ipv4.conf.${device}.send_redirects=0`),
    ];
    await ip("netns", "exec", node, "sysctl", "-qw", ...settings);
  }

  const home = enter(`/run/netns/${n1}`);
  const agents = names.map((one) => startAgent(one));
  const [outside, node1, node2, pods1, pods2, client, client2] = agents.map(({ agent }) => agent);
  if (!outside || !node1 || !node2 || !pods1 || !pods2 || !client || !client2) throw new Error("no agents");
  for (const family of families) {
    const { local, remote, elsewhere } = addressesOf(family);
    for (const protocol of ["TCP", "UDP"] as const) {
      for (let i = 0; i < podCount; i++) {
        for (const port of [8080, 8081]) {
          await pods1.serve({ address: local(i), port, protocol });
          await pods2.serve({ address: remote(i), port, protocol });
        }
      }
      await outside.serve({ address: elsewhere, port: 80, protocol });
    }
  }
  return {
    outside,
    node1,
    node2,
    client,
    client2,
    pods1,
    pods2,
    onNode2: {
      run: (file, args, options) => systemCommands.run("ip", ["netns", "exec", n2, file, ...args], options),
    },
    namespace2: n2,
    async close() {
      for (const { child } of agents) child.disconnect();
      home();
      for (const one of names) await ip("netns", "delete", one);
    },
  };
}

/** Whether pods of the second node reach addresses of Services by way of the first: for tests of what that one does with their packets. */
export async function routesToServices(action: "add" | "delete", onNode2: CommandRunner): Promise<void> {
  for (const route of ["10.97.0.0/16 via 192.168.79.1", "fd97::/64 via fd79::1"])
    await runOrThrow(onNode2, "ip", ["route", action, ...route.split(" ")]);
}

/** Makes a node, the first unless told otherwise, answer for Services' addresses itself, as user space needs it; and takes it back. */
export async function ownAddresses(is: boolean, commands: CommandRunner = systemCommands): Promise<void> {
  // To bind IPv6 addresses that no interface has takes this; for IPv4 the route is enough.
  await runOrThrow(commands, "sysctl", ["-qw", `net.ipv6.ip_nonlocal_bind=${is ? 1 : 0}`]);
  for (const block of served)
    await runOrThrow(commands, "ip", ["route", is ? "add" : "delete", "local", block, "dev", "lo"]);
}
