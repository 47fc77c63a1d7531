import type { Ingress, IngressLoadBalancerIngress } from "../kube/index.ts";
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
    .map(({ port }) => ({ port: port as number, protocol: "TCP" }));
  return addresses.map((address) => ({ ...(isIP(address) ? { ip: address } : { hostname: address }), ports }));
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
