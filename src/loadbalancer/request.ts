import { formatIp, keyOf, parseIp, type IpFamily, type Service } from "../kube/index.ts";
import { ServiceProblem } from "./provider.ts";

/** What a Service asks for. */
export interface AddressRequest {
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
}

/** Annotations that ask for addresses, separated by commas; the first that is there counts. */
export const addressAnnotations = [
  "fairlead.dev/address",
  "metallb.io/loadBalancerIPs",
  "metallb.universe.tf/loadBalancerIPs",
  "kube-vip.io/loadbalancerIPs",
];

/** Reads what a Service asks for. Throws ServiceProblem InvalidRequest. */
export function requestOf(service: Service): AddressRequest {
  const { metadata, spec } = service;
  const families = familiesOf(service);
  const annotation = addressAnnotations.find((name) => metadata.annotations?.[name]?.trim());
  const field = annotation ? `metadata.annotations[${annotation}]` : "spec.loadBalancerIP";
  const text = (annotation ? metadata.annotations?.[annotation] : spec.loadBalancerIP)?.trim();
  const wanted: Partial<Record<IpFamily, string>> = {};
  for (const part of text ? text.split(",") : []) {
    const ip = parseIp(part.trim());
    if (!ip) throw invalid(`${field}: ${JSON.stringify(part.trim())} is not an IP address`);
    if (!families.includes(ip.family)) {
      throw invalid(`${field}: ${formatIp(ip)} is ${ip.family}, but the Service has only ${families.join(" and ")}`);
    }
    if (wanted[ip.family]) throw invalid(`${field}: two addresses of ${ip.family}; ask for one of each family`);
    wanted[ip.family] = formatIp(ip);
  }
  const required = spec.ipFamilyPolicy === "PreferDualStack" ? [] : families;
  return { service: keyOf(service), uid: metadata.uid ?? "", families, required, wanted, field };
}

function familiesOf({ spec }: Service): readonly IpFamily[] {
  const families = (spec.ipFamilies ?? []).filter(
    (family): family is IpFamily => family === "IPv4" || family === "IPv6",
  );
  return families.length > 0 ? families : ["IPv4"];
}

function invalid(message: string): ServiceProblem {
  return new ServiceProblem("InvalidRequest", message);
}
