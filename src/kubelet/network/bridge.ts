import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { join } from "node:path";
import { type CommandRunner, runOrThrow } from "../../system/index.ts";
import { type AddressPool, leasesIn, openAddressPool } from "./address-pool.ts";
import { parseRange } from "./cidr.ts";
import { hasEgressTable, masqueradeEgress, removeEgress } from "./egress.ts";
import { bridgeName } from "./names.ts";
import { besideSupervisor } from "../runtime/mount-namespace.ts";
import { NetworkError, type NodeRoute, type PodNetwork } from "./network.ts";

export interface BridgeNetworkOptions {
  /** Where the addresses given out are kept. */
  readonly dir: string;
  readonly commands: CommandRunner;
  /**
   * Ranges of virtual addresses (Services, load balancers). They are routed to the bridge, so that a packet to one
   * has a route before it is translated, and one that nobody translates goes nowhere instead of to the Internet.
   */
  readonly virtualRanges: readonly string[];
}

/** `proto` of the routes to other nodes, so that they are told from everyone else's. */
const routeProtocol = "142";
const netnsDirectory = "/run/netns";

/**
 * Each pod has a network namespace with one end of a veth pair, the other end is in the bridge. A pod's address is a
 * /32 and its only neighbour is the node: also traffic between two pods of the node is routed, so that an answer
 * passes the node's connection tracking and a translated address is translated back.
 */
export function createBridgeNetwork(options: BridgeNetworkOptions): PodNetwork {
  const commands = besideSupervisor(options.dir, options.commands);
  const file = join(options.dir, "addresses.json");
  let pool: AddressPool | undefined;
  let ownRange = "";
  /** False where there is no nft: then pods reach only what knows their addresses. */
  let hasEgress = false;

  const opened = (): AddressPool => {
    if (!pool) throw new NetworkError("NO_CIDR", "the node has no pod range yet");
    return pool;
  };
  const ip = (args: readonly string[]): Promise<string> => runOrThrow(commands, "ip", args);
  const batch = (args: readonly string[], lines: readonly string[]): Promise<string> =>
    runOrThrow(commands, "ip", [...args, "-batch", "-"], { input: `${lines.join("\n")}\n` });
  /** For what may be gone already. */
  const attempt = async (args: readonly string[]): Promise<string> => (await commands.run("ip", args)).stdout;

  const disconnect = async (id: string): Promise<void> => {
    await attempt(["link", "delete", vethOf(id)]);
    await attempt(["netns", "delete", netnsOf(id)]);
    // What a machine that was switched off left is a plain file.
    rmSync(join(netnsDirectory, netnsOf(id)), { force: true });
  };

  const connect = async (id: string, address: string, gateway: string): Promise<void> => {
    // The machine was switched off in the middle.
    if (existsSync(join(netnsDirectory, netnsOf(id)))) await disconnect(id);
    await ip(["netns", "add", netnsOf(id)]);
    await batch(
      [],
      [
        `link add name ${vethOf(id)} type veth peer name eth0 address ${macOf(address)} netns ${netnsOf(id)}`,
        ...portLines(id),
      ],
    );
    await batch(
      ["-n", netnsOf(id)],
      [
        "link set lo up",
        `addr add ${address}/32 dev eth0`,
        "link set eth0 up",
        `route add ${gateway} dev eth0 scope link src ${address}`,
        `route add default via ${gateway} src ${address}`,
      ],
    );
  };

  return {
    async setUp(podCIDR) {
      pool = openAddressPool(file, podCIDR);
      const { gateway, prefix } = pool;
      const address = `${gateway}/${prefix}`;
      const found = await commands.run("ip", ["-j", "-4", "address", "show", "dev", bridgeName]);
      if (found.code !== 0) await ip(["link", "add", "name", bridgeName, "type", "bridge"]);
      for (const old of addressesIn(found.stdout)) {
        if (old !== address) await ip(["address", "delete", old, "dev", bridgeName]);
      }
      const routes = options.virtualRanges.map((range) => {
        parseRange(range);
        return `route replace ${range} dev ${bridgeName} src ${gateway}`;
      });
      await batch(
        [],
        [
          `link set ${bridgeName} address ${macOf(gateway)} up`,
          `address replace ${address} dev ${bridgeName}`,
          ...routes,
        ],
      );
      // Someone may have taken the bridge away meanwhile.
      const present = interfaces();
      const pods = pool.holders().filter((id) => present.has(vethOf(id)));
      if (pods.length > 0) await batch([], pods.flatMap(portLines));
      setSysctl("ip_forward", "1");
      // Pods are neighbours on the wire, but must not be told to talk past the node.
      for (const device of ["all", bridgeName]) setSysctl(`conf/${device}/send_redirects`, "0");
      ownRange = podCIDR;
      try {
        await masqueradeEgress(commands, [ownRange]);
        hasEgress = true;
        return [];
      } catch (error) {
        return [`pods reach nothing outside the cluster: ${error instanceof Error ? error.message : String(error)}`];
      }
    },
    async attach(id) {
      const held = opened();
      const address = held.take(id);
      try {
        if (!interfaces().has(vethOf(id))) await connect(id, address, held.gateway);
      } catch (error) {
        await disconnect(id);
        held.give(id);
        throw error;
      }
      return { addresses: [address], netns: netnsOf(id) };
    },
    async detach(id) {
      await disconnect(id);
      opened().give(id);
    },
    isAttached: async (id) => interfaces().has(vethOf(id)),
    async retain(ids) {
      for (const id of opened().holders()) {
        if (ids.has(id)) continue;
        await disconnect(id);
        opened().give(id);
      }
    },
    async routeTo(nodes) {
      const wanted = nodes.filter(isRoutable);
      const present = routesIn(await ip(["-j", "-4", "route", "show", "proto", routeProtocol]));
      for (const { podCIDR, via } of present) {
        const keep = wanted.some((route) => route.podCIDR === podCIDR && route.via === via);
        if (!keep) await attempt(["route", "delete", podCIDR, "via", via, "proto", routeProtocol]);
      }
      if (hasEgress) await masqueradeEgress(commands, [ownRange, ...wanted.map(({ podCIDR }) => podCIDR)]);
      const failed: unknown[] = [];
      for (const { podCIDR, via } of wanted) {
        if (present.some((route) => route.podCIDR === podCIDR && route.via === via)) continue;
        // One node that is not on this network must not cut off the others.
        await ip(["route", "replace", podCIDR, "via", via, "proto", routeProtocol]).catch((error: unknown) =>
          failed.push(error),
        );
      }
      if (failed.length > 0) throw failed[0];
    },
    isIntact: async () => interfaces().has(bridgeName) && (!hasEgress || (await hasEgressTable(commands))),
    async tearDown() {
      for (const id of Object.keys(leasesIn(file))) await disconnect(id);
      await removeEgress(commands);
      await attempt(["route", "flush", "proto", routeProtocol]);
      await attempt(["link", "delete", bridgeName]);
      rmSync(file, { force: true });
      pool = undefined;
    },
  };
}

const netnsOf = (id: string): string => `fl-${id}`;
/** An interface's name has at most 15 characters: 2 and the 12 of a sandbox's id. */
const vethOf = (id: string): string => `fl${id}`;

/**
 * Puts a pod's end into the bridge. Where br_netfilter is loaded (Docker does that) a packet that a pod sends to its own
 * Service is translated within the bridge and goes out by the port it came in, which only a hairpin port allows.
 */
function portLines(id: string): string[] {
  return [`link set ${vethOf(id)} master ${bridgeName} up`, `link set ${vethOf(id)} type bridge_slave hairpin on`];
}

/** Fixed by the address: whoever still has an old entry in its neighbour table has the right one. */
function macOf(address: string): string {
  const bytes = address.split(".").map((part) => Number(part).toString(16).padStart(2, "0"));
  return `0a:58:${bytes.join(":")}`;
}

/** Names of the interfaces in this process's network namespace. A veth is gone when its other end's namespace is. */
function interfaces(): Set<string> {
  const lines = readFileSync("/proc/self/net/dev", "utf8").split("\n").slice(2);
  return new Set(lines.map((line) => line.split(":")[0]?.trim() ?? ""));
}

function isRoutable({ podCIDR, via }: NodeRoute): boolean {
  const [base = "", prefix = ""] = podCIDR.split("/");
  return isIPv4(via) && isIPv4(base) && /^\d{1,2}$/.test(prefix);
}

function addressesIn(json: string): string[] {
  if (!json.trim()) return [];
  const links = JSON.parse(json) as { addr_info?: { local: string; prefixlen: number }[] }[];
  return links.flatMap((link) => (link.addr_info ?? []).map(({ local, prefixlen }) => `${local}/${prefixlen}`));
}

function routesIn(json: string): NodeRoute[] {
  const routes = JSON.parse(json || "[]") as { dst: string; gateway?: string }[];
  return routes.flatMap(({ dst, gateway }) => (gateway === undefined ? [] : [{ podCIDR: dst, via: gateway }]));
}

/** Of the network namespace that this process is in. */
function setSysctl(name: string, value: string): void {
  writeFileSync(`/proc/sys/net/ipv4/${name}`, value);
}
