import type { Service, ServicePort, ServiceSpec } from "../generated/types.ts";
import { semanticEqual } from "../values/equal.ts";

export const isHeadless = (spec: ServiceSpec): boolean => (spec.clusterIPs?.[0] ?? spec.clusterIP) === "None";
/** Its endpoints are the user's own: whatever family they have. */
export const isHeadlessWithoutSelector = (spec: ServiceSpec): boolean =>
  isHeadless(spec) && Object.keys(spec.selector ?? {}).length === 0;

/** NodePort, LoadBalancer, or ClusterIP with externalIPs: what `externalTrafficPolicy` is for. */
export function isExternallyAccessible(spec: ServiceSpec): boolean {
  const { type, externalIPs = [] } = spec;
  return type === "LoadBalancer" || type === "NodePort" || (type === "ClusterIP" && externalIPs.length > 0);
}

/** True when the API server gives the Service an address. */
export const needsClusterIp = (spec: ServiceSpec): boolean => spec.type !== "ExternalName" && !isHeadless(spec);

/** True when the API server gives each port a node port. */
export const needsNodePort = (spec: ServiceSpec): boolean =>
  spec.type === "NodePort" || (spec.type === "LoadBalancer" && spec.allocateLoadBalancerNodePorts !== false);

const mayHaveNodePort = (spec: ServiceSpec) => spec.type === "NodePort" || spec.type === "LoadBalancer";

/** True when the Service has a port on which nodes say whether they hold an endpoint. */
export const needsHealthCheckNodePort = (spec: ServiceSpec): boolean =>
  spec.type === "LoadBalancer" && spec.externalTrafficPolicy === "Local";

export function defaultService(service: Service): void {
  const spec = (service.spec ??= {});
  spec.type ||= "ClusterIP";
  spec.sessionAffinity ||= "None";
  if (spec.sessionAffinity === "None") delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === "ClientIP") {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: 10_800, ...spec.sessionAffinityConfig?.clientIP } };
  }
  for (const port of spec.ports ?? []) {
    port.protocol ||= "TCP";
    port.targetPort ||= port.port;
  }
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ||= "Cluster";
  if (["ClusterIP", "NodePort", "LoadBalancer"].includes(spec.type)) spec.internalTrafficPolicy ??= "Cluster";
  if (spec.type === "LoadBalancer") spec.allocateLoadBalancerNodePorts ??= true;
  if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
  for (const ingress of service.status?.loadBalancer?.ingress ?? []) if (ingress.ip) ingress.ipMode ??= "VIP";
}

/** Carries over what was allocated and the request does not name. */
export function keepAllocated(spec: ServiceSpec, old: ServiceSpec): void {
  normalizeClusterIps(spec, old);
  if (needsClusterIp(old) && spec.type !== "ExternalName") {
    if (!spec.clusterIP && !spec.clusterIPs?.length && old.clusterIP) spec.clusterIP = old.clusterIP;
    if (!spec.clusterIPs?.length && spec.clusterIP === old.clusterIP && old.clusterIPs)
      spec.clusterIPs = [...old.clusterIPs];
  }
  if (spec.type !== "ExternalName" && old.type !== "ExternalName") {
    if (!spec.ipFamilies?.length && old.ipFamilies) spec.ipFamilies = [...old.ipFamilies];
    if (spec.ipFamilyPolicy === undefined && old.ipFamilyPolicy) spec.ipFamilyPolicy = old.ipFamilyPolicy;
  }
  if (mayHaveNodePort(old) && mayHaveNodePort(spec)) keepNodePorts(spec.ports ?? [], old.ports ?? []);
  if (needsHealthCheckNodePort(old) && needsHealthCheckNodePort(spec) && old.healthCheckNodePort) {
    spec.healthCheckNodePort ||= old.healthCheckNodePort;
  }
}

/** A client that knows only one of clusterIP and clusterIPs changes both. */
function normalizeClusterIps(spec: ServiceSpec, old: ServiceSpec): void {
  if (spec.clusterIP === old.clusterIP || !semanticEqual(spec.clusterIPs, old.clusterIPs)) return;
  if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP];
  else delete spec.clusterIPs;
}

function keepNodePorts(ports: ServicePort[], old: readonly ServicePort[]): void {
  const before = new Set(old.map((port) => port.nodePort));
  const used = new Set(ports.map((port) => port.nodePort).filter((port) => before.has(port)));
  const byName = new Map(old.map((port) => [port.name ?? "", port.nodePort]));
  for (const port of ports) {
    const kept = byName.get(port.name ?? "");
    if (port.nodePort || !kept || used.has(kept)) continue;
    port.nodePort = kept;
    used.add(kept);
  }
}

/** Drops what belonged to the old type, where the request only repeats it. */
export function dropWhatTypeLost(service: Service, old: Service): void {
  const [spec, before] = [service.spec, old.spec];
  const drop = (...keys: (keyof ServiceSpec)[]) => {
    for (const key of keys) if (semanticEqual(spec[key], before[key])) delete spec[key];
  };
  if (needsClusterIp(before) && spec.type === "ExternalName") {
    drop("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy");
  }
  if (isExternallyAccessible(before) && !isExternallyAccessible(spec)) drop("externalTrafficPolicy");
  if (needsHealthCheckNodePort(before) && !needsHealthCheckNodePort(spec)) drop("healthCheckNodePort");
  if (mayHaveNodePort(before) && !mayHaveNodePort(spec)) {
    const numbers = (ports: readonly ServicePort[] = []) => ports.flatMap(({ nodePort }) => nodePort || []).sort();
    const same = semanticEqual(numbers(spec.ports), numbers(before.ports));
    if (same) for (const port of spec.ports ?? []) delete port.nodePort;
  }
  if (before.type === "LoadBalancer" && spec.type !== "LoadBalancer") {
    drop("allocateLoadBalancerNodePorts", "loadBalancerClass");
    service.status = { ...service.status, loadBalancer: {} };
  }
}
