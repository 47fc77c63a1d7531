import type { Ingress, IngressLoadBalancerIngress, Service } from "../kube/index.ts";
import { isIP } from "node:net";
import type { BoundListener } from "./dataplane.ts";

/** `status.loadBalancer.ingress` of an Ingress that is served on `addresses` (IP addresses or names) through `listeners`. */
export function statusOf(
  ingress: Ingress,
  addresses: readonly string[],
  listeners: readonly BoundListener[],
): IngressLoadBalancerIngress[] {
  const ports = listeners
    .filter(({ port, protocol }) => port !== undefined && (protocol === "HTTP" || ingress.spec.tls?.length))
    .map((listener) => ({ port: portSeen(listener), protocol: "TCP" }));
  return addresses.map((address) => ({ ...(isIP(address) ? { ip: address } : { hostname: address }), ports }));
}

/** Another port than the one asked for counts only where nothing leads to it from there. */
function portSeen({ wanted, port, error }: BoundListener): number {
  return error === undefined && wanted !== 0 ? wanted : (port ?? wanted);
}

/**
 * Where the Service before a data plane is reached from outside: its load balancer's addresses and names, else its external IPs,
 * else its cluster IP.
 */
export function publishedAddresses(service: Service | undefined): string[] {
  if (!service) return [];
  const { status, spec } = service;
  const given = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip ?? hostname ?? []);
  if (given.length > 0) return given;
  if ((spec.externalIPs ?? []).length > 0) return [...(spec.externalIPs ?? [])];
  if (spec.type === "LoadBalancer" || spec.type === "ExternalName") return [];
  return spec.clusterIP === undefined || spec.clusterIP === "None" ? [] : [spec.clusterIP];
}

/** True when both say the same. */
export function sameStatus(
  a: readonly IngressLoadBalancerIngress[] | undefined,
  b: readonly IngressLoadBalancerIngress[],
): boolean {
  const text = (each: readonly IngressLoadBalancerIngress[]): string =>
    each
      .map(({ ip, hostname, ports }) => `${ip ?? hostname ?? ""} ${ports?.map((port) => port.port).join(",") ?? ""}`)
      .join(";");
  return text(a ?? []) === text(b);
}
