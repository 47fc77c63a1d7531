import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { NodePlan } from "../services/index.ts";

/**
 * Where this machine would send from to an address: the answer of its routes, without a packet. Rejects with the system's error
 * (ENETUNREACH where there is no route).
 */
export type SourceFor = (address: string) => Promise<string>;

/** The system's routes, asked by a UDP socket that is connected and never written to. */
export const systemSourceFor: SourceFor = (address) =>
  new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    const done = (error?: Error): void => {
      const source = error ? "" : socket.address().address;
      socket.close();
      if (error) reject(error);
      else resolve(source);
    };
    socket.once("error", done);
    // Port 9 (RFC 863, discard): none is sent to it. A connection that fails is told to the callback, which the types do not say.
    socket.connect(9, address, done);
  });

/** A cluster IP of each family that some Service has, with its key: those that are met first. */
export function someClusterIps(keys: Iterable<string>, planOf: (key: string) => NodePlan | undefined) {
  const found = new Map<string, { readonly address: string; readonly service: string }>();
  let looked = 0;
  for (const key of keys) {
    // A cluster of headless Services alone has nothing to be found.
    if (found.size === 2 || ++looked > 1_000) break;
    for (const { family, frontends } of planOf(key)?.ports ?? []) {
      const address = frontends.find(({ kind }) => kind === "ClusterIP")?.address;
      if (address !== undefined && !found.has(family)) found.set(family, { address, service: key });
    }
  }
  return [...found.values()];
}

/**
 * Why this machine's own packets to cluster IPs never come to where they are led: the kernel looks for a route before it asks any rule; and
 * in user space the addresses have to be the machine's own (`own`). Undefined when they do.
 */
export async function whyNoRoute(
  clusterIps: readonly { readonly address: string; readonly service: string }[],
  own: boolean,
  sourceFor: SourceFor = systemSourceFor,
): Promise<string | undefined> {
  for (const { address, service } of clusterIps) {
    const of = `cluster IP ${address} of Service ${service}`;
    try {
      const source = await sourceFor(address);
      const isOwn = source === address || source === "::1" || source.startsWith("127.");
      if (own && !isOwn)
        return `${of} is not this node's own, as user space needs it (ip route show table local): start the proxy again, with its range in --service-cidr`;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      return `this node has no route to ${of} (${code}): give it a default route`;
    }
  }
  return undefined;
}
