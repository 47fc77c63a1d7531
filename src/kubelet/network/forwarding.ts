import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { NetworkError } from "./network.ts";

// Settings of the network namespace that this process is in.
const settings = "/proc/sys/net";
const read = (name: string): string => readFileSync(`${settings}/${name}`, "utf8").trim();
const write = (name: string, value: string): void => writeFileSync(`${settings}/${name}`, value);

/** Lets packets of pods pass through this machine. */
export function forwardIpv4(bridge: string): void {
  write("ipv4/ip_forward", "1");
  // Pods are neighbours on the wire, but must not be told to talk past the node.
  for (const device of ["all", bridge]) write(`ipv4/conf/${device}/send_redirects`, "0");
}

/** Lets packets from and to this machine's loopback addresses, translated, pass by the bridge. Who may send to them is for rules to say. */
export const routeLoopback = (bridge: string): void => write(`ipv4/conf/${bridge}/route_localnet`, "1");

/**
 * The same for IPv6. A machine that forwards believes no router any more, unless it is told to: those interfaces that have their route
 * from one keep it. Throws `NetworkError` where the kernel has no IPv6.
 */
export function forwardIpv6(): void {
  try {
    if (read("ipv6/conf/all/disable_ipv6") !== "0") write("ipv6/conf/all/disable_ipv6", "0");
    if (read("ipv6/conf/all/forwarding") === "1") return;
    for (const device of readdirSync(`${settings}/ipv6/conf`)) {
      const name = `ipv6/conf/${device}/accept_ra`;
      if (device !== "all" && read(name) === "1") write(name, "2");
    }
    write("ipv6/conf/all/forwarding", "1");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new NetworkError("NO_IPV6", `this machine cannot forward IPv6 (${why}): give one range of pods, of IPv4`);
  }
}
