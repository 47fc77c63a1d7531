import { readdir } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { CommandError, type CommandRunner, runOrThrow } from "../system/index.ts";

/** The network that joins the nodes of one machine: a bridge on the host, which is node 1, and a namespace a further node. */
export interface NodeLan {
  /** Makes the network for so many nodes; keeps what is there, removes what is too many. Throws `CommandError`. */
  setUp(nodes: number): Promise<void>;
  /** Removes all of it, also what another process made. */
  tearDown(): Promise<void>;
}

const bridge = "fairlead-lan";
const prefix = "10.41.0";

/** Whether anything of a LAN is in this machine's network. */
async function isThere(): Promise<boolean> {
  if (networkInterfaces()[bridge]) return true;
  const names = await readdir("/run/netns").catch(() => []);
  return names.some((name) => name.startsWith("fairlead-node-"));
}

/** Address of a node on the LAN; the host is node 1. */
export const lanAddress = (node: number): string => `${prefix}.${node}`;

/** Network namespace of a further node. */
export const lanNamespace = (node: number): string => `fairlead-node-${node}`;

/** The host's end of the pair that joins a further node to the bridge. */
const lanLink = (node: number | string): string => `fairlead-lan${node}`;

export function createNodeLan(commands: CommandRunner): NodeLan {
  const ip = (...args: string[]) => runOrThrow(commands, "ip", args);
  const exists = async (device: string) => (await commands.run("ip", ["link", "show", "dev", device])).code === 0;

  const namespaces = async () => {
    const list = JSON.parse((await ip("-j", "netns", "list")) || "[]") as { name: string }[];
    return list.map(({ name }) => name).filter((name) => /^fairlead-node-\d+$/.test(name));
  };

  const addBridge = async () => {
    if (!(await exists(bridge))) await ip("link", "add", bridge, "type", "bridge");
    await ip("address", "replace", `${lanAddress(1)}/24`, "dev", bridge);
    await ip("link", "set", bridge, "up");
  };

  /** Also for one that is there: someone may have taken the bridge away meanwhile. */
  const join = async (outer: string) => {
    await ip("link", "set", outer, "master", bridge, "up");
    // With br_netfilter, what a node sends to another node's port comes back to it by the port it came from.
    await ip("link", "set", outer, "type", "bridge_slave", "hairpin", "on");
  };

  const addNode = async (node: number) => {
    const namespace = lanNamespace(node);
    const outer = lanLink(node);
    if (await exists(outer)) return join(outer);
    // The pair is made last and carries the whole: where it exists, the node is complete.
    if (!(await namespaces()).includes(namespace)) await ip("netns", "add", namespace);
    await ip("-n", namespace, "link", "set", "lo", "up");
    await ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    try {
      await ip("-n", namespace, "address", "replace", `${lanAddress(node)}/24`, "dev", "eth0");
      await ip("-n", namespace, "link", "set", "eth0", "up");
      await ip("-n", namespace, "route", "replace", "default", "via", lanAddress(1));
      await join(outer);
    } catch (error) {
      await commands.run("ip", ["link", "delete", outer]);
      throw error;
    }
  };

  const removeNode = async (namespace: string) => {
    // A namespace takes its pair with it only some time after its end, and an `up` right after must not find half a node.
    await commands.run("ip", ["link", "delete", lanLink(namespace.replace("fairlead-node-", ""))]);
    await ip("netns", "delete", namespace);
  };

  return {
    async setUp(nodes) {
      // The usual case costs no process: one node, and nothing left of several.
      if (nodes === 1 && !(await isThere())) return;
      const wanted = Array.from({ length: nodes - 1 }, (_, i) => i + 2);
      const names = new Set(wanted.map(lanNamespace));
      for (const name of await namespaces()) if (!names.has(name)) await removeNode(name);
      if (nodes === 1) return removeBridge();
      await addBridge();
      for (const node of wanted) await addNode(node);
    },
    async tearDown() {
      try {
        for (const name of await namespaces()) await removeNode(name);
        await removeBridge();
      } catch (error) {
        // Without the program nothing can have been made.
        if (!(error instanceof CommandError) || error.code !== "NOT_FOUND") throw error;
      }
    },
  };

  async function removeBridge(): Promise<void> {
    if (await exists(bridge)) await ip("link", "delete", bridge);
  }
}
