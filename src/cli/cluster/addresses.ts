import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { cidrContains, formatIp, type IpFamily, parseCidr } from "../../kube/index.ts";
import { CliError } from "../errors.ts";
import { lanAddress, lanRanges } from "../lan.ts";

/** The ranges and fixed addresses of a cluster. One set with pod networks, one on loopback for a user without root. */
export interface AddressPlan {
  /** One or two, the primary one first; in this order are the others. */
  readonly families: readonly IpFamily[];
  readonly podCIDRs: readonly string[];
  readonly serviceCIDRs: readonly string[];
  /** ClusterIP of the Service `kubernetes`. */
  readonly apiService: string;
  /** ClusterIPs of the cluster's DNS: of the families that the first node has addresses of. */
  readonly dns: readonly string[];
  readonly lbPools: readonly string[];
  /** Primary address of a node, by its number; the first is 1. */
  readonly node: (number: number) => string;
  /** All addresses of a node, that one first: none of a second family for a machine that has none. */
  readonly addressesOf: (number: number) => readonly string[];
}

/** Ranges that the user chose; those that are empty are the usual ones. */
export interface ChosenRanges {
  readonly serviceCidr: readonly string[];
  readonly clusterCidr: readonly string[];
}

const usual = {
  loopback: { podCIDRs: ["127.42.0.0/16"], serviceCIDRs: ["127.96.0.0/16"], lbPools: ["127.97.0.0/24"] },
  namespaces: {
    podCIDRs: ["10.42.0.0/16", "fd00:10:42::/48"],
    serviceCIDRs: ["10.96.0.0/16", "fd00:10:96::/112"],
    lbPools: ["10.97.0.0/24", "fd00:10:97::/120"],
  },
} as const;

/** Length of the prefix of what a node gets of the pods' range. */
export const nodePrefix: Readonly<Record<IpFamily, number>> = { IPv4: 24, IPv6: 64 };

const familyOf = (text: string): IpFamily => (text.includes(":") ? "IPv6" : "IPv4");

/**
 * `nodes` is how many there are: several are joined by a network of their own. The families are those of the chosen ranges, in their order.
 * Throws CliError USAGE for ranges that cannot be had here, Error when the machine has no address.
 */
export function addressPlan(
  network: "namespaces" | "loopback",
  nodes: number,
  chosen: ChosenRanges = { serviceCidr: [], clusterCidr: [] },
): AddressPlan {
  const ranges = [...chosen.serviceCidr, ...chosen.clusterCidr];
  const families = ranges.length === 0 ? (["IPv4"] as const) : [...new Set(ranges.map(familyOf))];
  const from = usual[network];
  const of = (given: readonly string[], otherwise: readonly string[]) =>
    given.length > 0 ? given : families.flatMap((family) => otherwise.find((one) => familyOf(one) === family) ?? []);
  const podCIDRs = of(chosen.clusterCidr, from.podCIDRs);
  const serviceCIDRs = of(chosen.serviceCidr, from.serviceCIDRs);
  checkRanges({ network, nodes, chosen, podCIDRs, serviceCIDRs });
  const single = nodes === 1 && network === "namespaces" ? machineAddresses(families, chosen) : [];
  const addressesOf = (number: number): readonly string[] => {
    if (network === "loopback") return [number === 1 ? "127.0.0.1" : `127.41.0.${number}`];
    return nodes === 1 ? single : families.map((family) => lanAddress(number, family));
  };
  const ofFirst = addressesOf(1).map(familyOf);
  return {
    families,
    podCIDRs,
    serviceCIDRs,
    apiService: addressIn(serviceCIDRs[0], 1n),
    dns: serviceCIDRs.filter((range) => ofFirst.includes(familyOf(range))).map((range) => addressIn(range, 10n)),
    lbPools: of([], from.lbPools),
    node: (number) => addressesOf(number)[0] ?? "",
    addressesOf,
  };
}

/**
 * The pools of load balancers: those that are given, else the usual ones. Throws CliError USAGE for one of a family that the cluster does not
 * have: no Service could get an address of it.
 */
export function poolsOf(plan: Pick<AddressPlan, "families" | "lbPools">, given: readonly string[]): readonly string[] {
  const useless = given.find((pool) => !plan.families.includes(familyOf(pool)));
  if (useless === undefined) return given.length > 0 ? given : plan.lbPools;
  throw new CliError(
    "USAGE",
    `--lb-pool ${useless}: this cluster has no ${familyOf(useless)}`,
    `leave it out, or give --service-cidr a range of ${familyOf(useless)} too`,
  );
}

const addressIn = (cidr: string | undefined, place: bigint): string => {
  const read = parseCidr(cidr ?? "");
  return read ? formatIp({ family: read.family, value: read.base + place }) : "";
};

/** Refuses ranges that exclude each other or the network that the nodes are on, or have no share for each node. */
function checkRanges({
  network,
  nodes,
  chosen: { serviceCidr, clusterCidr },
  podCIDRs,
  serviceCIDRs,
}: Pick<AddressPlan, "podCIDRs" | "serviceCIDRs"> & {
  readonly network: "namespaces" | "loopback";
  readonly nodes: number;
  readonly chosen: ChosenRanges;
}): void {
  const [option, given] = serviceCidr.length > 0 ? ["--service-cidr", serviceCidr] : ["--cluster-cidr", clusterCidr];
  if (given.length === 0) return;
  const wrong = (why: string, remedy: string, about = `${option} ${given.join(",")}`) =>
    new CliError("USAGE", `${about}: ${why}`, remedy);
  if (network === "loopback")
    throw wrong("without pod networks all addresses are loopback's", "leave it out, or run as root without --rootless");
  if (serviceCIDRs.map(familyOf).join() !== podCIDRs.map(familyOf).join())
    throw wrong(
      `Services and pods have to be of the same families in the same order, and --cluster-cidr is ${podCIDRs.join(",")}`,
      "give --service-cidr and --cluster-cidr one each of IPv4 or of IPv6, or two each, or only one of the options",
    );
  const taken = [...serviceCIDRs, ...podCIDRs, ...lanRanges];
  for (const [i, one] of taken.entries())
    for (const other of taken.slice(i + 1))
      if (shareAddresses(one, other))
        throw wrong(`${one} and ${other} share addresses`, "choose ranges that are apart");
  for (const range of podCIDRs) {
    const share = nodePrefix[familyOf(range)];
    const free = share - (parseCidr(range)?.prefix ?? share);
    const needed = Math.ceil(Math.log2(nodes));
    if (free < needed)
      throw wrong(
        `a node gets a /${share}, so ${range} is enough for ${2 ** free} of ${nodes} nodes`,
        `give a range of /${share - needed} or shorter, or fewer --nodes`,
        `--cluster-cidr ${podCIDRs.join(",")}`,
      );
  }
}

function shareAddresses(one: string, other: string): boolean {
  const [a, b] = [parseCidr(one), parseCidr(other)];
  if (!a || !b || a.family !== b.family) return false;
  return cidrContains(a, { family: b.family, value: b.base }) || cidrContains(b, { family: a.family, value: a.base });
}

/**
 * This machine's own addresses, at most one of a family: that of the interface with the default route, else the first that others can reach.
 * Throws CliError USAGE where it has none of the first family.
 */
function machineAddresses(
  families: readonly IpFamily[],
  { serviceCidr, clusterCidr }: ChosenRanges,
): readonly string[] {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? [])
      .filter(({ internal, family, scopeid }) => !internal && !(family === "IPv6" && scopeid !== 0))
      .map(({ address, family }) => ({ name, address, family })),
  );
  const found = families.map((family) => {
    const own = addresses.filter((one) => one.family === family);
    const uplink =
      family === "IPv4" ? defaultInterface(readRoutes("route")) : defaultInterfaceOfIpv6(readRoutes("ipv6_route"));
    return (own.find(({ name }) => name === uplink) ?? own.find(({ name }) => !name.startsWith("fairlead")))?.address;
  });
  const [first, second] = found;
  if (first !== undefined) return second === undefined ? [first] : [first, second];
  if (families[0] === "IPv4") throw new Error("this machine has no IPv4 address beside loopback: use --rootless");
  const [option, given] = serviceCidr.length > 0 ? ["--service-cidr", serviceCidr] : ["--cluster-cidr", clusterCidr];
  throw new CliError(
    "USAGE",
    `${option} ${given.join(",")}: this machine has no IPv6 address that others could reach`,
    "give it one, such as `ip address add fd00::1/64 dev eth0`, or use --nodes 2 or more: they have a network of their own",
  );
}

function readRoutes(file: "route" | "ipv6_route"): string {
  try {
    return readFileSync(`/proc/net/${file}`, "utf8");
  } catch {
    // A kernel without IPv6.
    return "";
  }
}

/** Interface of the default route with the lowest metric, from the text of /proc/net/route (columns as in proc(5)). */
export function defaultInterface(routes: string): string | undefined {
  const candidates = routes
    .split("\n")
    .slice(1)
    .map((line) => line.split("\t"))
    .filter(([, destination, , , , , , mask]) => destination === "00000000" && mask === "00000000")
    .sort((a, b) => Number(a[6]) - Number(b[6]));
  return candidates[0]?.[0];
}

/** The same from the text of /proc/net/ipv6_route: destination, length, source, length, next hop, metric, two counts, flags, interface. */
export function defaultInterfaceOfIpv6(routes: string): string | undefined {
  const everywhere = "0".repeat(32);
  const candidates = routes
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    // What loopback has there says that nothing can be reached.
    .filter(
      ([destination, length, , , , , , , , name]) => destination === everywhere && length === "00" && name !== "lo",
    )
    .sort((a, b) => Number.parseInt(a[5] ?? "", 16) - Number.parseInt(b[5] ?? "", 16));
  return candidates[0]?.[9];
}
