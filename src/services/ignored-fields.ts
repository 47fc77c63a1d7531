import type { Service } from "../kube/index.ts";
import { extrasOf } from "./extras.ts";
import { isProxyable, parseCidr, readAddress } from "./address.ts";

/** A part of a Service that no packet follows, and why. */
export interface IgnoredField {
  readonly field: string;
  readonly reason: string;
}

/**
 * What a Service says that the proxy cannot follow, and leaves out: addresses and ranges that are none, or that no packet can be led to. An
 * API server refuses most of it; objects from before a rule, from other servers and from files may have it.
 * @param allowLoopback the whole cluster is on loopback addresses
 */
export function ignoredFields(service: Service, allowLoopback = false): IgnoredField[] {
  const { spec, status } = service;
  const ignored: IgnoredField[] = [...extrasOf(service).ignored];
  const address = (text: string, field: string): void => {
    const read = readAddress(text);
    if (!read) ignored.push({ field, reason: `${JSON.stringify(text)} is not an IP address` });
    else if (!isProxyable(read.address, allowLoopback))
      ignored.push({
        field,
        reason: `${read.address} is unspecified, loopback, link-local or multicast: no packet can be led there`,
      });
  };
  for (const [i, text] of (spec.externalIPs ?? []).entries()) address(text, `spec.externalIPs[${i}]`);
  if (spec.type !== "LoadBalancer") return ignored;
  for (const [i, { ip, ipMode }] of (status?.loadBalancer?.ingress ?? []).entries())
    if (ip && ipMode !== "Proxy") address(ip, `status.loadBalancer.ingress[${i}].ip`);
  for (const [i, text] of (spec.loadBalancerSourceRanges ?? []).entries())
    if (!parseCidr(text))
      ignored.push({
        field: `spec.loadBalancerSourceRanges[${i}]`,
        reason: `${JSON.stringify(text)} is not a range such as 192.0.2.0/24`,
      });
  return ignored;
}
