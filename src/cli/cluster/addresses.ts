import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { cidrContains, formatIp, parseCidr } from "../../kube/index.ts";
import { CliError } from "../errors.ts";
import { lanAddress, lanAddressOfIpv6, lanRanges } from "../lan.ts";

/** The ranges and fixed addresses of a cluster. One set with pod networks, one on loopback for a user without root. */
export interface AddressPlan {
  /** One of IPv4, and of a dual-stack cluster one of IPv6 after it; so are the others. */
  readonly podCIDRs: readonly string[];
  readonly serviceCIDRs: readonly string[];
  /** ClusterIP of the Service `kubernetes`. */
  readonly apiService: string;
  /** ClusterIP of the cluster's DNS. */
  readonly dns: string;
  readonly lbPools: readonly string[];
  /** IPv4 address of a node, by its number; the first is 1. */
  readonly node: (number: number) => string;
  /** Its IPv6 address: absent in a cluster of one family, and for a machine that has none. */
  readonly secondOfNode: (number: number) => string | undefined;
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

/**
 * `nodes` is how many there are: several are joined by a network of their own. Two families where one of the chosen ranges has two. Throws
 * CliError USAGE for ranges that cannot be had here, Error when the machine has no address.
 */
export function addressPlan(
  network: "namespaces" | "loopback",
  nodes: number,
  chosen: ChosenRanges = { serviceCidr: [], clusterCidr: [] },
): AddressPlan {
  checkRanges(network, chosen);
  const families = chosen.serviceCidr.length === 2 || chosen.clusterCidr.length === 2 ? 2 : 1;
  const from = usual[network];
  const of = (given: readonly string[], otherwise: readonly string[]) =>
    given.length > 0 ? given : otherwise.slice(0, families);
  const serviceCIDRs = of(chosen.serviceCidr, from.serviceCIDRs);
  const first = network === "loopback" ? "127.0.0.1" : nodes === 1 ? primaryAddress() : lanAddress(1);
  const second = families === 2 && nodes === 1 ? ipv6Address() : undefined;
  return {
    podCIDRs: of(chosen.clusterCidr, from.podCIDRs),
    serviceCIDRs,
    apiService: addressIn(serviceCIDRs[0], 1n),
    dns: addressIn(serviceCIDRs[0], 10n),
    lbPools: from.lbPools.slice(0, families),
    node: (number) => (number === 1 ? first : network === "loopback" ? `127.41.0.${number}` : lanAddress(number)),
    secondOfNode: (number) => (families === 1 ? undefined : nodes === 1 ? second : lanAddressOfIpv6(number)),
  };
}

const addressIn = (cidr: string | undefined, place: bigint): string => {
  const read = parseCidr(cidr ?? "");
  return read ? formatIp({ family: read.family, value: read.base + place }) : "";
};

/** Refuses ranges that exclude each other, or the network that the nodes are on. */
function checkRanges(network: "namespaces" | "loopback", { serviceCidr, clusterCidr }: ChosenRanges): void {
  const [option, given] = serviceCidr.length > 0 ? ["--service-cidr", serviceCidr] : ["--cluster-cidr", clusterCidr];
  if (given.length === 0) return;
  const wrong = (why: string, remedy: string) => new CliError("USAGE", `${option} ${given.join(",")}: ${why}`, remedy);
  if (network === "loopback")
    throw wrong("without pod networks all addresses are loopback's", "leave it out, or run as root");
  if (serviceCidr.length > 0 && clusterCidr.length > 0 && serviceCidr.length !== clusterCidr.length)
    throw wrong(
      "Services and pods have to be of the same families",
      "give --service-cidr and --cluster-cidr one or two each",
    );
  const all = [...serviceCidr, ...clusterCidr];
  // Where only one of the two is chosen, the other is the usual one.
  const rest =
    serviceCidr.length === 0
      ? usual.namespaces.serviceCIDRs
      : clusterCidr.length === 0
        ? usual.namespaces.podCIDRs
        : [];
  const taken = [...all, ...rest, ...lanRanges];
  for (const [i, one] of taken.entries())
    for (const other of taken.slice(i + 1))
      if (shareAddresses(one, other))
        throw wrong(`${one} and ${other} share addresses`, "choose ranges that are apart");
}

function shareAddresses(one: string, other: string): boolean {
  const [a, b] = [parseCidr(one), parseCidr(other)];
  if (!a || !b || a.family !== b.family) return false;
  return cidrContains(a, { family: b.family, value: b.base }) || cidrContains(b, { family: a.family, value: a.base });
}

/** This machine's own IPv6 address that others can reach; undefined when it has none. */
function ipv6Address(): string | undefined {
  return Object.entries(networkInterfaces())
    .filter(([name]) => !name.startsWith("fairlead"))
    .flatMap(([, list]) => list ?? [])
    .find(({ family, internal, scopeid }) => family === "IPv6" && !internal && scopeid === 0)?.address;
}

/** This machine's IPv4 address: that of the interface with the default route, else of the first that is not loopback. */
function primaryAddress(): string {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? [])
      .filter(({ family, internal }) => family === "IPv4" && !internal)
      .map(({ address }) => ({ name, address })),
  );
  const uplink = defaultInterface(readFileSync("/proc/net/route", "utf8"));
  const found =
    addresses.find(({ name }) => name === uplink) ?? addresses.find(({ name }) => !name.startsWith("fairlead"));
  if (!found) throw new Error("this machine has no IPv4 address beside loopback: use --rootless");
  return found.address;
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

/** All addresses of a node, the primary one first. */
export function addressesOf(plan: AddressPlan, number: number): readonly string[] {
  const second = plan.secondOfNode(number);
  return second === undefined ? [plan.node(number)] : [plan.node(number), second];
}
