import { existsSync, readFileSync, rmSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { parseCidr, parseIp } from "../../kube/index.ts";
import { type CommandRunner, runOrThrow } from "../../system/index.ts";
import { type AddressPool, leasesIn, openAddressPool } from "./address-pool.ts";
import { parseRange } from "./cidr.ts";
import { hasEgressTable, masqueradeEgress, removeEgress } from "./egress.ts";
import { forwardIpv4, forwardIpv6, routeLoopback } from "./forwarding.ts";
import { createHostPorts } from "./host-ports.ts";
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
 * /32, or a /128, and its only neighbour is the node: also traffic between two pods of the node is routed, so that an answer
 * passes the node's connection tracking and a translated address is translated back.
 */
export function createBridgeNetwork(options: BridgeNetworkOptions): PodNetwork {
  const commands = besideSupervisor(options.dir, options.commands);
  const files = ["addresses.json", "addresses-ipv6.json"].map((name) => join(options.dir, name));
  const [file = "", fileOfIpv6 = ""] = files;
  /** One of each range, in their order. */
  let pools: readonly AddressPool[] = [];
  let ownRanges: readonly string[] = [];
  /** False where there is no nft: then pods reach only what knows their addresses. */
  let hasEgress = false;
  const hostPorts = createHostPorts({
    file: join(options.dir, "host-ports.json"),
    commands,
    routeLoopback: () => routeLoopback(bridgeName),
  });

  const opened = (): readonly AddressPool[] => {
    if (pools.length === 0) throw new NetworkError("NO_CIDR", "the node has no pod range yet");
    return pools;
  };
  const holders = (): ReadonlySet<string> => new Set(opened().flatMap((pool) => pool.holders()));
  const give = (id: string): void => opened().forEach((pool) => pool.give(id));
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

  const release = async (id: string): Promise<void> => {
    await hostPorts.close(id);
    await disconnect(id);
    give(id);
  };

  const connect = async (id: string, addresses: readonly { address: string; gateway: string }[]): Promise<void> => {
    // The machine was switched off in the middle.
    if (existsSync(join(netnsDirectory, netnsOf(id)))) await disconnect(id);
    await ip(["netns", "add", netnsOf(id)]);
    await batch(
      [],
      [
        `link add name ${vethOf(id)} type veth peer name eth0 address ${macOf(addresses[0]?.address ?? "")} netns ${netnsOf(id)}`,
        ...portLines(id),
      ],
    );
    await batch(
      ["-n", netnsOf(id)],
      [
        "link set lo up",
        "link set eth0 up",
        ...addresses.flatMap(({ address, gateway }) => [
          // Nobody else can have it: an IPv6 address may be used at once.
          `addr add ${address}${address.includes(":") ? "/128 dev eth0 nodad" : "/32 dev eth0"}`,
          `route add ${gateway} dev eth0 scope link src ${address}`,
          `route add default via ${gateway} dev eth0 src ${address}`,
        ]),
      ],
    );
  };

  return {
    async setUp(podCIDRs) {
      pools = podCIDRs.map((cidr) => openAddressPool(cidr.includes(":") ? fileOfIpv6 : file, cidr));
      const wanted = pools.map(({ gateway, prefix }) => `${gateway}/${prefix}`);
      const found = await commands.run("ip", ["-j", "address", "show", "dev", bridgeName]);
      if (found.code !== 0) await ip(["link", "add", "name", bridgeName, "type", "bridge"]);
      for (const old of addressesIn(found.stdout)) {
        if (!wanted.includes(old)) await ip(["address", "delete", old, "dev", bridgeName]);
      }
      const [first, second] = pools;
      const hasIpv6 = pools.some(({ gateway }) => gateway.includes(":"));
      if (hasIpv6) forwardIpv6();
      const routes = options.virtualRanges.flatMap((range) => {
        const { family } = parseRange(range);
        const gateway = [first, second].find((pool) => pool?.gateway.includes(":") === (family === "IPv6"))?.gateway;
        return gateway === undefined ? [] : [`route replace ${range} dev ${bridgeName} src ${gateway}`];
      });
      await batch(
        [],
        [
          `link set ${bridgeName} address ${macOf(first?.gateway ?? "")} up`,
          ...wanted.map((one) => `address replace ${one} dev ${bridgeName}${one.includes(":") ? " nodad" : ""}`),
          ...routes,
        ],
      );
      // Someone may have taken the bridge away meanwhile.
      const present = interfaces();
      const pods = [...holders()].filter((id) => present.has(vethOf(id)));
      if (pods.length > 0) await batch([], pods.flatMap(portLines));
      forwardIpv4(bridgeName);
      ownRanges = podCIDRs;
      try {
        await masqueradeEgress(commands, ownRanges, []);
        hasEgress = true;
        await hostPorts.setUp();
        return [];
      } catch (error) {
        return [`pods reach nothing outside the cluster: ${error instanceof Error ? error.message : String(error)}`];
      }
    },
    async attach(id, ports) {
      const isNew = !interfaces().has(vethOf(id));
      // What was connected before the node had a second family stays with what it has.
      const held = isNew ? opened() : opened().filter((pool) => pool.holders().includes(id));
      try {
        const addresses = held.map((pool) => ({ address: pool.take(id), gateway: pool.gateway }));
        if (isNew) await connect(id, addresses);
        await hostPorts.open(
          id,
          addresses.map(({ address }) => address),
          ports,
        );
        return { addresses: addresses.map(({ address }) => address), netns: netnsOf(id) };
      } catch (error) {
        await release(id);
        throw error;
      }
    },
    detach: release,
    isAttached: async (id) => interfaces().has(vethOf(id)),
    async retain(ids) {
      for (const id of holders()) {
        if (!ids.has(id)) await release(id);
      }
    },
    async routeTo(nodes) {
      const wanted = nodes.filter(isRoutable);
      const show = (family: string) => ip(["-j", family, "route", "show", "proto", routeProtocol]).then(routesIn);
      const hasIpv6 = ownRanges.some((range) => range.includes(":"));
      const present = [...(await show("-4")), ...(hasIpv6 ? await show("-6") : [])];
      for (const { podCIDR, via } of present) {
        const keep = wanted.some((route) => route.podCIDR === podCIDR && route.via === via);
        if (!keep) await attempt(["route", "delete", podCIDR, "via", via, "proto", routeProtocol]);
      }
      if (hasEgress)
        await masqueradeEgress(
          commands,
          ownRanges,
          wanted.map(({ podCIDR }) => podCIDR),
        );
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
    isIntact: async () =>
      interfaces().has(bridgeName) &&
      (!hasEgress || (await hasEgressTable(commands, ownRanges))) &&
      (await hostPorts.isIntact()),
    async tearDown() {
      for (const id of new Set(files.flatMap((one) => Object.keys(leasesIn(one))))) await disconnect(id);
      await removeEgress(commands);
      await hostPorts.tearDown();
      for (const family of ["-4", "-6"]) await attempt([family, "route", "flush", "proto", routeProtocol]);
      await attempt(["link", "delete", bridgeName]);
      for (const one of files) rmSync(one, { force: true });
      pools = [];
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
  const { value } = parseIp(address) ?? { value: 0n };
  const bytes = [24n, 16n, 8n, 0n].map((shift) => ((value >> shift) & 0xffn).toString(16).padStart(2, "0"));
  return `0a:58:${bytes.join(":")}`;
}

/** Names of the interfaces in this process's network namespace. A veth is gone when its other end's namespace is. */
function interfaces(): Set<string> {
  const lines = readFileSync("/proc/self/net/dev", "utf8").split("\n").slice(2);
  return new Set(lines.map((line) => line.split(":")[0]?.trim() ?? ""));
}

function isRoutable({ podCIDR, via }: NodeRoute): boolean {
  const cidr = parseCidr(podCIDR);
  return cidr !== undefined && isIP(via) === (cidr.family === "IPv4" ? 4 : 6);
}

/** Those that someone gave it: not what the kernel itself makes of its hardware address. */
function addressesIn(json: string): string[] {
  if (!json.trim()) return [];
  const links = JSON.parse(json) as { addr_info?: { local: string; prefixlen: number; scope?: string }[] }[];
  return links.flatMap((link) =>
    (link.addr_info ?? [])
      .filter(({ scope }) => scope !== "link")
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
  );
}

function routesIn(json: string): NodeRoute[] {
  const routes = JSON.parse(json || "[]") as { dst: string; gateway?: string }[];
  return routes.flatMap(({ dst, gateway }) => (gateway === undefined ? [] : [{ podCIDR: dst, via: gateway }]));
}
