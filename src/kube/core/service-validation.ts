import type { LoadBalancerStatus, Service, ServicePort, ServiceSpec } from "../generated/types.ts";
import type { StrategyContext } from "../strategy.ts";
import { validateCidr, validateIp, validateNonSpecialIp } from "../validation/address.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateLabels } from "../validation/metadata.ts";
import { validateChoice, validateOneOf, validatePortOrName, validateProtocol } from "../validation/ports.ts";
import { parseIp } from "../values/ip.ts";
import { isDns1123Label, isDns1123Subdomain, isPortNumber, isQualifiedName } from "../values/names.ts";
import { validateAddresses, validateAddressUpdate } from "./service-addresses.ts";
import { isExternallyAccessible, isHeadless, needsHealthCheckNodePort } from "./service-defaults.ts";

const types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const onlyForLoadBalancer = "may only be used when `type` is 'LoadBalancer'";

/** Faults of a Service beside its metadata, as `ValidateService` and, with `old`, `ValidateServiceUpdate`. */
export function* validateService(service: Service, context: StrategyContext, old?: Service): Faults {
  const { spec } = service;
  if (old) yield* validateAddressUpdate(spec, old.spec);
  if (!spec.ports?.length && !isHeadless(spec) && spec.type !== "ExternalName") yield fault.required("spec.ports");
  yield* validateType(spec);
  yield* validatePorts(spec);
  yield* validateLabels(spec.selector, "spec.selector");
  yield* validateAffinity(spec);
  yield* validateAddresses(spec, context.serviceFamilies);
  for (const [i, ip] of (spec.externalIPs ?? []).entries()) {
    const path = `spec.externalIPs[${i}]`;
    const faults = old?.spec.externalIPs?.includes(ip) ? [] : [...validateIp(ip, path)];
    yield* faults.length > 0 ? faults : validateNonSpecialIp(ip, path, context.allowLoopback);
  }
  yield* validateChoice(spec.type, types, "spec.type");
  yield* validatePortNumbers(spec);
  yield* validateLoadBalancer(spec, old?.spec);
  yield* validateTrafficPolicies(spec, old?.spec);
}

function* validateType(spec: ServiceSpec): Faults {
  const { type = "" } = spec;
  if ((type === "LoadBalancer" || type === "NodePort") && isHeadless(spec)) {
    yield fault.invalid("spec.clusterIPs[0]", "None", `may not be set to 'None' for ${type} services`);
  }
  if (type !== "ExternalName") return;
  const forbidden = "may not be set for ExternalName services";
  if (spec.clusterIPs?.length) yield fault.forbidden("spec.clusterIPs", forbidden);
  if (spec.ipFamilies?.length) yield fault.forbidden("spec.ipFamilies", forbidden);
  if (spec.ipFamilyPolicy !== undefined) yield fault.forbidden("spec.ipFamilyPolicy", forbidden);
  // A trailing dot says that the name is fully qualified.
  const name = (spec.externalName ?? "").replace(/\.$/, "");
  if (name === "") yield fault.required("spec.externalName");
  else yield* invalids("spec.externalName", name, isDns1123Subdomain(name));
}

function* validatePorts(spec: ServiceSpec): Faults {
  const ports = spec.ports ?? [];
  const names = new Set<string>();
  for (const [i, port] of ports.entries()) yield* validatePort(port, ports.length > 1, names, `spec.ports[${i}]`);
}

/** One protocol and number may be there once, as a port and as a node port. */
function* validatePortNumbers({ type, ports = [] }: ServiceSpec): Faults {
  for (const [i, { nodePort }] of ports.entries()) {
    if (nodePort && type === "ClusterIP") {
      yield fault.forbidden(`spec.ports[${i}].nodePort`, "may not be used when `type` is 'ClusterIP'");
    }
  }
  const nodePorts = new Set<string>();
  const servicePorts = new Set<string>();
  for (const [i, { port, protocol, nodePort }] of ports.entries()) {
    const path = `spec.ports[${i}]`;
    if (nodePort && nodePorts.has(`${protocol}/${nodePort}`)) yield fault.duplicate(`${path}.nodePort`, nodePort);
    if (nodePort) nodePorts.add(`${protocol}/${nodePort}`);
    if (servicePorts.has(`${protocol}/${port}`)) {
      // As Go shows what it compares by.
      const shown = { Name: "", Protocol: protocol, AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 };
      yield fault.duplicate(path, shown);
    }
    servicePorts.add(`${protocol}/${port}`);
  }
}

function* validatePort(port: ServicePort, needsName: boolean, names: Set<string>, path: string): Faults {
  const { name = "" } = port;
  if (name !== "") {
    yield* invalids(`${path}.name`, name, isDns1123Label(name));
    if (names.has(name)) yield fault.duplicate(`${path}.name`, name);
    names.add(name);
  } else if (needsName) yield fault.required(`${path}.name`);
  yield* invalids(`${path}.port`, port.port, isPortNumber(port.port));
  yield* validateProtocol(port.protocol, `${path}.protocol`);
  yield* validatePortOrName(port.targetPort, `${path}.targetPort`);
  if (port.appProtocol !== undefined) {
    yield* invalids(`${path}.appProtocol`, port.appProtocol, isQualifiedName(port.appProtocol));
  }
}

function* validateAffinity(spec: ServiceSpec): Faults {
  const { sessionAffinity, sessionAffinityConfig: config } = spec;
  yield* validateChoice(sessionAffinity, ["ClientIP", "None"], "spec.sessionAffinity");
  if (sessionAffinity === "ClientIP") {
    const path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
    const seconds = config?.clientIP?.timeoutSeconds;
    if (seconds === undefined) yield fault.required(path, "when session affinity type is ClientIP");
    else if (seconds <= 0 || seconds > 86_400) {
      yield fault.invalid(path, seconds, "must be greater than 0 and less than 86400");
    }
  } else if (sessionAffinity === "None" && config) {
    yield fault.forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None");
  }
}

function* validateLoadBalancer(spec: ServiceSpec, old?: ServiceSpec): Faults {
  const isLoadBalancer = spec.type === "LoadBalancer";
  if (spec.loadBalancerSourceRanges?.length) {
    // Upstream writes this field so.
    const path = "spec.LoadBalancerSourceRanges";
    if (!isLoadBalancer) yield fault.forbidden(path, onlyForLoadBalancer);
    for (const [i, range] of spec.loadBalancerSourceRanges.entries()) {
      // Old objects may hold ranges that are refused today.
      if (!old?.loadBalancerSourceRanges?.includes(range)) yield* validateCidr(range.trim(), `${path}[${i}]`);
    }
  }
  const allocate = spec.allocateLoadBalancerNodePorts;
  if (isLoadBalancer && allocate === undefined) yield fault.required("allocateLoadBalancerNodePorts");
  if (!isLoadBalancer && allocate !== undefined) {
    yield fault.forbidden("spec.allocateLoadBalancerNodePorts", onlyForLoadBalancer);
  }
  const name = spec.loadBalancerClass;
  if (old?.type === "LoadBalancer" && isLoadBalancer && old.loadBalancerClass !== name) {
    yield fault.invalid("spec.loadBalancerClass", name, "may not change once set");
  }
  if (name === undefined) return;
  if (!isLoadBalancer) yield fault.forbidden("spec.loadBalancerClass", onlyForLoadBalancer);
  yield* invalids("spec.loadBalancerClass", name, isQualifiedName(name));
}

function* validateTrafficPolicies(spec: ServiceSpec, old?: ServiceSpec): Faults {
  const external = spec.externalTrafficPolicy ?? "";
  if (!isExternallyAccessible(spec)) {
    if (external !== "") {
      const text = "may only be set for externally-accessible services";
      yield fault.invalid("spec.externalTrafficPolicy", external, text);
    }
  } else if (external === "") yield fault.required("spec.externalTrafficPolicy");
  else yield* validateOneOf(external, ["Cluster", "Local"], "spec.externalTrafficPolicy");

  const port = spec.healthCheckNodePort ?? 0;
  if (!needsHealthCheckNodePort(spec)) {
    if (port !== 0) {
      const text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
      yield fault.invalid("spec.healthCheckNodePort", port, text);
    }
  } else if (port === 0) yield fault.required("spec.healthCheckNodePort");
  else yield* invalids("spec.healthCheckNodePort", port, isPortNumber(port));
  if (old && needsHealthCheckNodePort(old) && needsHealthCheckNodePort(spec)) {
    if (port !== (old.healthCheckNodePort ?? 0))
      yield fault.forbidden("spec.healthCheckNodePort", "field is immutable");
  }

  const internal = spec.internalTrafficPolicy;
  if (internal !== undefined) yield* validateOneOf(internal, ["Cluster", "Local"], "spec.internalTrafficPolicy");
  else if (["ClusterIP", "NodePort", "LoadBalancer"].includes(spec.type ?? "")) {
    yield fault.required("spec.internalTrafficPolicy");
  }
  if (spec.trafficDistribution !== undefined) {
    const supported = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    yield* validateOneOf(spec.trafficDistribution, supported, "spec.trafficDistribution");
  }
}

/** Faults of the addresses that a load balancer reports, as `ValidateLoadBalancerStatus`. */
export function* validateLoadBalancerStatus(status: LoadBalancerStatus | undefined, isLoadBalancer: boolean): Faults {
  const path = "status.loadBalancer.ingress";
  const ingress = status?.ingress ?? [];
  if (ingress.length > 0 && !isLoadBalancer) {
    yield fault.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'");
    return;
  }
  for (const [i, { ip, hostname, ipMode }] of ingress.entries()) {
    if (ip) yield* validateIp(ip, `${path}[${i}].ip`);
    if (ipMode === undefined && ip) {
      yield fault.required(`${path}[${i}].ipMode`, "must be specified when `ip` is set");
    } else if (ipMode !== undefined && !ip) {
      yield fault.forbidden(`${path}[${i}].ipMode`, "may not be specified when `ip` is not set");
    } else if (ipMode !== undefined) yield* validateOneOf(ipMode, ["Proxy", "VIP"], `${path}[${i}].ipMode`);
    if (!hostname) continue;
    yield* invalids(`${path}[${i}].hostname`, hostname, isDns1123Subdomain(hostname));
    if (parseIp(hostname))
      yield fault.invalid(`${path}[${i}].hostname`, hostname, "must be a DNS name, not an IP address");
  }
}
