import { formatIp, isUnspecified, keyOf, parseIp, type IpFamily, type Service } from "../kube/index.ts";
import type { PoolClient } from "./pools.ts";
import { ServiceProblem } from "./provider.ts";

/** What a Service asks for. */
export interface AddressRequest extends PoolClient {
  /** `namespace/name`. */
  readonly service: string;
  readonly uid: string;
  /** One address of each of these. */
  readonly families: readonly IpFamily[];
  /** Families without which it wants no address at all. */
  readonly required: readonly IpFamily[];
  /** Addresses that were asked for, at most one a family, and where that was written. */
  readonly wanted: Readonly<Partial<Record<IpFamily, string>>>;
  readonly field: string;
  /** The only pool it takes an address from, and where that was written. */
  readonly pool?: { readonly name: string; readonly field: string };
  /** `443/TCP`. */
  readonly ports: readonly string[];
  /** Others with the same text may have the same address, where their ports differ. */
  readonly sharing?: string;
}

/** Annotations that ask for addresses, separated by commas; the first that is there counts. */
export const addressAnnotations = [
  "fairlead.dev/address",
  "metallb.io/loadBalancerIPs",
  "metallb.universe.tf/loadBalancerIPs",
  "kube-vip.io/loadbalancerIPs",
  "lbipam.cilium.io/ips",
  "io.cilium/lb-ipam-ips",
];

/** Annotations that ask for a pool by name. */
export const poolAnnotations = [
  "fairlead.dev/address-pool",
  "metallb.io/address-pool",
  "metallb.universe.tf/address-pool",
];

/** Annotations whose value says with whom an address may be shared. */
export const sharingAnnotations = [
  "fairlead.dev/allow-shared-address",
  "metallb.io/allow-shared-ip",
  "metallb.universe.tf/allow-shared-ip",
  "lbipam.cilium.io/sharing-key",
  "io.cilium/lb-ipam-sharing-key",
];

const longestKey = 253;

/** Reads what a Service asks for. Throws ServiceProblem InvalidRequest. */
export function requestOf(service: Service, namespaceLabels: Readonly<Record<string, string>> = {}): AddressRequest {
  const { metadata, spec } = service;
  const families = familiesOf(service);
  const annotation = annotated(service, addressAnnotations);
  const field = annotation ? fieldOf(annotation) : "spec.loadBalancerIP";
  const text = (annotation ? metadata.annotations?.[annotation] : spec.loadBalancerIP)?.trim();
  const wanted: Partial<Record<IpFamily, string>> = {};
  for (const part of text ? text.split(",") : []) {
    const ip = parseIp(part.trim());
    if (!ip) throw invalid(`${field}: ${JSON.stringify(short(part.trim()))} is not an IP address`);
    if (isUnspecified(ip))
      throw invalid(`${field}: ${formatIp(ip)} asks for DHCP, which is not offered; name an address`);
    if (!families.includes(ip.family)) {
      throw invalid(`${field}: ${formatIp(ip)} is ${ip.family}, but the Service has only ${families.join(" and ")}`);
    }
    if (wanted[ip.family]) throw invalid(`${field}: two addresses of ${ip.family}; ask for one of each family`);
    wanted[ip.family] = formatIp(ip);
  }
  const required = spec.ipFamilyPolicy === "PreferDualStack" ? [] : families;
  const pool = annotated(service, poolAnnotations);
  const sharing = sharingOf(service);
  return {
    service: keyOf(service),
    uid: metadata.uid ?? "",
    namespace: metadata.namespace ?? "",
    labels: metadata.labels ?? {},
    namespaceLabels,
    families,
    required,
    wanted,
    field,
    ports: portsOf(service),
    ...(pool ? { pool: { name: metadata.annotations?.[pool]?.trim() ?? "", field: fieldOf(pool) } } : {}),
    ...(sharing === undefined ? {} : { sharing }),
  };
}

/** `443/TCP` for each port. */
export function portsOf({ spec }: Service): string[] {
  return (spec.ports ?? []).map(({ port, protocol }) => `${port}/${protocol ?? "TCP"}`);
}

/**
 * With whom an address may be shared: the key and, where the policy is Local, the pods, as all sharers must be reached through the same
 * nodes. Undefined: with nobody. Throws ServiceProblem.
 */
export function sharingOf(service: Service): string | undefined {
  const annotation = annotated(service, sharingAnnotations);
  if (!annotation) return undefined;
  const key = service.metadata.annotations?.[annotation]?.trim() ?? "";
  if (key.length > longestKey) throw invalid(`${fieldOf(annotation)}: longer than ${longestKey} characters`);
  if (service.spec.externalTrafficPolicy !== "Local") return `${key} Cluster`;
  const selector = Object.entries(service.spec.selector ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${key} Local ${JSON.stringify(selector)}`;
}

function annotated({ metadata }: Service, names: readonly string[]): string | undefined {
  return names.find((name) => metadata.annotations?.[name]?.trim());
}

const fieldOf = (annotation: string) => `metadata.annotations[${annotation}]`;
const short = (text: string) => (text.length > 100 ? `${text.slice(0, 100)}...` : text);

function familiesOf({ spec }: Service): readonly IpFamily[] {
  const families = (spec.ipFamilies ?? []).filter(
    (family): family is IpFamily => family === "IPv4" || family === "IPv6",
  );
  return families.length > 0 ? families : ["IPv4"];
}

function invalid(message: string): ServiceProblem {
  return new ServiceProblem("InvalidRequest", message);
}
