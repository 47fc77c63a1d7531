import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import type { IpFamily } from "../kube/index.ts";
import { CommandError, type CommandRunner, runOrThrow } from "../system/index.ts";

/** The network that joins the nodes of one machine: a bridge on the host, which is node 1, and a namespace a further node. */
export interface NodeLan {
  /** Makes the network for so many nodes; keeps what is there, removes what is too many. Default: IPv4 alone. Throws `CommandError`. */
  setUp(nodes: number, families?: readonly IpFamily[]): Promise<void>;
  /** Removes all of it, also what another process made. */
  tearDown(): Promise<void>;
}

/** The bridge's name; names of its ports begin with it. */
export const lanBridge = "fairlead-lan";
const bridge = lanBridge;
const prefix = { IPv4: "10.41.0.", IPv6: "fd00:10:41::" } as const;
const prefixLength = { IPv4: 24, IPv6: 64 } as const;

/** Whether anything of this LAN, or of one that was here before, is in this machine's network. */
async function isThere(cluster: string): Promise<boolean> {
  if (networkInterfaces()[bridge]) return true;
  const names = await readdir("/run/netns").catch(() => []);
  return names.some((name) => numberOf(cluster, name) !== undefined);
}

/**
 * What names the networks of a cluster's nodes: network namespaces are named for the whole machine, and on one machine there may be
 * several clusters, each in a network of its own. Of the directory, so that each start and `down` find what the last start has made.
 */
export const lanName = (root: string): string => createHash("sha256").update(root).digest("hex").slice(0, 8);

/** Address of a node on the LAN; the host is node 1. */
export const lanAddress = (node: number, family: IpFamily = "IPv4"): string =>
  `${prefix[family]}${node.toString(family === "IPv4" ? 10 : 16)}`;

/** The ranges that these are in. */
export const lanRanges: readonly string[] = [`${prefix.IPv4}0/24`, `${prefix.IPv6}/64`];

/** Network namespace of a further node; `cluster` is of `lanName`. */
export const lanNamespace = (cluster: string, node: number): string => `${anyNode}${cluster}-${node}`;

const anyNode = "fairlead-node-";

/** Which node of the cluster a namespace is of; undefined: none. */
function numberOf(cluster: string, namespace: string): number | undefined {
  const number = Number(namespace.split("-").at(-1));
  return namespace === lanNamespace(cluster, number) ? number : undefined;
}

/** The host's end of the pair that joins a further node to the bridge. */
export const lanLink = (node: number): string => `fairlead-lan${node}`;

/** `cluster` is of `lanName`. One process at a time may use it in a network: see `takeNetwork`. */
export function createNodeLan(commands: CommandRunner, cluster: string): NodeLan {
  const ip = (...args: string[]) => runOrThrow(commands, "ip", args);
  const exists = async (device: string) => (await commands.run("ip", ["link", "show", "dev", device])).code === 0;

  /** The number is that by which links of this network tell where they lead. */
  const namespaces = async () =>
    JSON.parse((await ip("-j", "netns", "list")) || "[]") as { name: string; id?: number }[];

  /** Nodes of the cluster that have a namespace, whether or not anything leads there. */
  const nodesThere = async () => (await namespaces()).flatMap(({ name }) => numberOf(cluster, name) ?? []);

  /** Links to nodes, with the namespace that each leads to. Undefined: that has no name any more. */
  const links = async () => {
    const all = JSON.parse((await ip("-j", "link", "show", "type", "veth")) || "[]") as Link[];
    const ours = all.filter(({ ifname }) => /^fairlead-lan\d+$/.test(ifname));
    const named = ours.length > 0 ? await namespaces() : [];
    return ours.map(({ ifname, link_netnsid: id }) => ({
      name: ifname,
      leadsTo: id === undefined ? undefined : named.find((namespace) => namespace.id === id)?.name,
    }));
  };

  /** What another cluster has left here: its process died, or this one could not use the network. */
  const removeForeign = async () => {
    for (const { name, leadsTo } of await links()) {
      if (leadsTo !== undefined && numberOf(cluster, leadsTo) !== undefined) continue;
      await commands.run("ip", ["link", "delete", name]);
      if (leadsTo?.startsWith(anyNode)) await commands.run("ip", ["netns", "delete", leadsTo]);
    }
  };

  /** Nobody else has this address: of IPv6 it may be used at once. */
  const giveAddress = (within: readonly string[], node: number, family: IpFamily, device: string) => {
    const own = `${lanAddress(node, family)}/${prefixLength[family]}`;
    return ip(...within, "address", "replace", own, "dev", device, ...(family === "IPv6" ? ["nodad"] : []));
  };

  const addBridge = async (families: readonly IpFamily[]) => {
    if (!(await exists(bridge))) await ip("link", "add", bridge, "type", "bridge");
    for (const family of families) await giveAddress([], 1, family, bridge);
    await ip("link", "set", bridge, "up");
  };

  /** Also for one that is there: someone may have taken the bridge away meanwhile. */
  const join = async (outer: string) => {
    await ip("link", "set", outer, "master", bridge, "up");
    // With br_netfilter, what a node sends to another node's port comes back to it by the port it came from.
    await ip("link", "set", outer, "type", "bridge_slave", "hairpin", "on");
  };

  const addAddresses = async (node: number, families: readonly IpFamily[]) => {
    const within = ["-n", lanNamespace(cluster, node)];
    for (const family of families) {
      await giveAddress(within, node, family, "eth0");
      await ip(...within, "route", "replace", "default", "via", lanAddress(1, family));
    }
  };

  const addNode = async (node: number, families: readonly IpFamily[]) => {
    const namespace = lanNamespace(cluster, node);
    const outer = lanLink(node);
    if (await exists(outer)) {
      // A cluster may be given a second family later.
      if (families.length > 1) await addAddresses(node, families);
      return join(outer);
    }
    // The pair is made last and carries the whole: where it exists, the node is complete.
    if (!(await nodesThere()).includes(node)) await ip("netns", "add", namespace);
    await ip("-n", namespace, "link", "set", "lo", "up");
    await ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    try {
      await ip("-n", namespace, "link", "set", "eth0", "up");
      await addAddresses(node, families);
      await join(outer);
    } catch (error) {
      await commands.run("ip", ["link", "delete", outer]);
      throw error;
    }
  };

  const removeNode = async (node: number) => {
    const namespace = lanNamespace(cluster, node);
    // A namespace takes its pair with it only some time after its end, and an `up` right after must not find half a node.
    for (const { name, leadsTo } of await links())
      if (leadsTo === namespace) await commands.run("ip", ["link", "delete", name]);
    await ip("netns", "delete", namespace);
  };

  /** Unless it joins nodes of another cluster. */
  const removeBridge = async () => {
    if ((await exists(bridge)) && (await links()).length === 0) await ip("link", "delete", bridge);
  };

  return {
    async setUp(nodes, families = ["IPv4"]) {
      // The usual case costs no process: one node, and nothing left of several.
      if (nodes === 1 && !(await isThere(cluster))) return;
      const wanted = Array.from({ length: nodes - 1 }, (_, i) => i + 2);
      await removeForeign();
      for (const node of await nodesThere()) if (!wanted.includes(node)) await removeNode(node);
      if (nodes === 1) return removeBridge();
      await addBridge(families);
      for (const node of wanted) await addNode(node, families);
    },
    async tearDown() {
      try {
        for (const node of await nodesThere()) await removeNode(node);
        await removeBridge();
      } catch (error) {
        // Without the program nothing can have been made.
        if (!(error instanceof CommandError) || error.code !== "NOT_FOUND") throw error;
      }
    },
  };
}

/** As `ip -j link` tells of it. */
interface Link {
  readonly ifname: string;
  readonly link_netnsid?: number;
}
