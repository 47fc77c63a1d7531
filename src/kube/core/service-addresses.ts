import type { ServiceSpec } from "../generated/types.ts";
import { validateIp } from "../validation/address.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
import { parseIp, type IpFamily } from "../values/ip.ts";
import { isHeadless, isHeadlessWithoutSelector } from "./service-defaults.ts";
import { onlyIpv4 } from "./service-families.ts";

const families = ["IPv4", "IPv6"];
const policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];

/** Faults of clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy (KEP-563) in a cluster of these families. */
export function* validateAddresses(spec: ServiceSpec, clusterFamilies: readonly IpFamily[] = onlyIpv4): Faults {
  if (spec.type === "ExternalName") return;
  const { clusterIP = "", clusterIPs = [] } = spec;
  if (clusterIP === "" && clusterIPs.length > 0) {
    yield fault.invalid("spec.clusterIPs", clusterIPs, "must be empty when `clusterIP` is not specified");
  } else if (clusterIP !== "" && clusterIPs.length === 0) {
    yield fault.required("spec.clusterIPs");
  } else if (clusterIPs[0] !== clusterIP && clusterIPs.length > 0) {
    yield fault.invalid("spec.clusterIPs", clusterIPs, "first value must match `clusterIP`");
  }
  yield* validateFamilies(spec, clusterFamilies);
  yield* validateClusterIps(spec);
}

function* validateFamilies(spec: ServiceSpec, clusterFamilies: readonly IpFamily[]): Faults {
  const { ipFamilies = [], ipFamilyPolicy } = spec;
  for (const [i, family] of ipFamilies.entries()) {
    const path = `spec.ipFamilies[${i}]`;
    yield* validateOneOf(family, families, path);
    if (ipFamilies.indexOf(family) < i) yield fault.duplicate(path, family);
  }
  if (ipFamilyPolicy !== undefined) yield* validateOneOf(ipFamilyPolicy, policies, "spec.ipFamilyPolicy");
  if (ipFamilyPolicy === "SingleStack" && ipFamilies.length > 1) {
    const text = "must be RequireDualStack or PreferDualStack when multiple 'ipFamilies' are specified";
    yield fault.invalid("spec.ipFamilyPolicy", ipFamilyPolicy, text);
  }
  // A headless Service without selector has its endpoints' addresses: any family will do.
  if (isHeadlessWithoutSelector(spec)) return;
  if (ipFamilyPolicy === "RequireDualStack" && clusterFamilies.length < 2) {
    const text = "this cluster is not configured for dual-stack services";
    yield fault.invalid("spec.ipFamilyPolicy", ipFamilyPolicy, text);
  }
  for (const [i, family] of ipFamilies.entries()) {
    const known = families.includes(family) && !clusterFamilies.some((have) => have === family);
    if (known) yield fault.invalid(`spec.ipFamilies[${i}]`, family, "not configured on this cluster");
  }
}

function* validateClusterIps(spec: ServiceSpec): Faults {
  const { clusterIPs = [], ipFamilies = [] } = spec;
  const faults = [];
  for (const [i, ip] of clusterIPs.entries()) {
    if (i === 0 && ip === "None") {
      if (clusterIPs.length > 1) {
        faults.push(fault.invalid("spec.clusterIPs", clusterIPs, "'None' must be the first and only value"));
      }
    } else faults.push(...validateIp(ip, `spec.clusterIPs[${i}]`));
  }
  if (clusterIPs.length > 2) faults.push(fault.invalid("spec.clusterIPs", clusterIPs, "may only hold up to 2 values"));
  yield* faults;
  if (faults.length > 0) return;
  const given = clusterIPs.map((ip) => parseIp(ip)?.family);
  if (given.length === 2 && given[0] === given[1]) {
    yield fault.invalid("spec.clusterIPs", clusterIPs, "may specify no more than one IP for each IP family");
  }
  if (isHeadless(spec)) return;
  for (const [i, family] of given.entries()) {
    const wanted = ipFamilies[i];
    if (wanted === undefined || wanted === family) continue;
    const text = `expected an ${wanted} value as indicated by \`ipFamilies[${i}]\``;
    yield fault.invalid(`spec.clusterIPs[${i}]`, clusterIPs[i], text);
  }
}

/** What may change of a Service's addresses: a second family comes and goes, the first one stays. */
export function* validateAddressUpdate(spec: ServiceSpec, old: ServiceSpec): Faults {
  if (spec.type === "ExternalName" || old.type === "ExternalName") return;
  if (isHeadless(spec) && isHeadless(old)) return;
  yield* validateListUpdate(spec.clusterIPs ?? [], old.clusterIPs ?? [], spec, "clusterIPs", "clusterIP");
  if (isHeadless(spec) !== isHeadless(old)) return;
  yield* validateListUpdate(spec.ipFamilies ?? [], old.ipFamilies ?? [], spec, "ipFamilies", "ipFamily");
}

function* validateListUpdate(
  now: readonly string[],
  old: readonly string[],
  spec: ServiceSpec,
  field: string,
  one: string,
): Faults {
  const path = `spec.${field}`;
  const unchangeable = "may not change once set";
  if (now.length === old.length) {
    for (const [i, value] of old.entries()) {
      if (now[i] !== value) yield fault.invalid(`${path}[${i}]`, now, unchangeable);
    }
    return;
  }
  if (old.length === 0) return;
  if (now.length === 0) yield fault.invalid(`${path}[0]`, null, `primary ${one} can not be unset`);
  else if (now[0] !== old[0]) yield fault.invalid(`${path}[0]`, now, unchangeable);
  if (old.length === 2 && now.length < 2 && spec.ipFamilyPolicy !== "SingleStack") {
    const text = `must be set to 'SingleStack' when releasing the secondary ${one}`;
    yield fault.invalid("spec.ipFamilyPolicy", spec.ipFamilyPolicy ?? null, text);
  }
}
