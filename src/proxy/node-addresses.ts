import type { Node } from "../kube/index.ts";
import { addressSet, familyOf } from "../services/index.ts";

/**
 * The addresses at which NodePorts answer (`--nodeport-addresses`, as kube-proxy has it): `primary` is the node's own address of each
 * family as its Node object says, a CIDR takes every address in it that some interface of this machine has.
 *
 * @param interfaces addresses of this machine's interfaces
 */
export function nodePortAddresses(
  wanted: readonly string[],
  node: Node | undefined,
  interfaces: readonly string[],
): string[] {
  const found: string[] = [];
  if (wanted.includes("primary")) found.push(...primaryAddresses(node, interfaces));
  const ranges = wanted.filter((text) => text !== "primary");
  const inRange = addressSet(ranges);
  found.push(...interfaces.filter((address) => inRange.has(address)));
  return [...new Set(found)];
}

/** The first InternalIP of each family, else the first ExternalIP, else the first address of an interface that is not loopback. */
function primaryAddresses(node: Node | undefined, interfaces: readonly string[]): string[] {
  const of = (type: string) =>
    (node?.status?.addresses ?? []).flatMap((one) => (one.type === type ? [one.address] : []));
  const outside = interfaces.filter((address) => !/^127\.|^::1$|^fe80:/i.test(address));
  const candidates = [...of("InternalIP"), ...of("ExternalIP"), ...outside];
  return (["IPv4", "IPv6"] as const).flatMap((family) => {
    const first = candidates.find((address) => familyOf(address) === family);
    return first === undefined ? [] : [first];
  });
}
