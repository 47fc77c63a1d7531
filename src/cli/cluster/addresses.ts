import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { lanAddress } from "../lan.ts";

/** The ranges and fixed addresses of a cluster. One set with pod networks, one on loopback for a user without root. */
export interface AddressPlan {
  readonly podCIDR: string;
  readonly serviceCIDR: string;
  /** ClusterIP of the Service `kubernetes`. */
  readonly apiService: string;
  /** ClusterIP of the cluster's DNS. */
  readonly dns: string;
  readonly lbPool: string;
  /** Address of a node, by its number; the first is 1. */
  readonly node: (number: number) => string;
}

/** `nodes` is how many there are: several are joined by a network of their own. Throws Error when the machine has no address. */
export function addressPlan(network: "namespaces" | "loopback", nodes: number): AddressPlan {
  if (network === "loopback") {
    return {
      podCIDR: "127.42.0.0/16",
      serviceCIDR: "127.96.0.0/16",
      apiService: "127.96.0.1",
      dns: "127.96.0.10",
      lbPool: "127.97.0.0/24",
      node: (number) => (number === 1 ? "127.0.0.1" : `127.41.0.${number}`),
    };
  }
  const first = nodes === 1 ? primaryAddress() : lanAddress(1);
  return {
    podCIDR: "10.42.0.0/16",
    serviceCIDR: "10.96.0.0/16",
    apiService: "10.96.0.1",
    dns: "10.96.0.10",
    lbPool: "10.97.0.0/24",
    node: (number) => (number === 1 ? first : lanAddress(number)),
  };
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
