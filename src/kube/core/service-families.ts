import type { ServiceSpec } from "../generated/types.ts";
import { semanticEqual } from "../values/equal.ts";
import type { IpFamily } from "../values/ip.ts";
import { isHeadlessWithoutSelector } from "./service-defaults.ts";

/** The families of a cluster that does not say. */
export const onlyIpv4: readonly IpFamily[] = ["IPv4"];

const otherFamily = (family: string | undefined): IpFamily => (family === "IPv4" ? "IPv6" : "IPv4");

/**
 * Fills in `ipFamilies` and `ipFamilyPolicy` (KEP-563). `families` are those of the cluster, the primary one first. What the cluster cannot
 * give, and a second family that is taken away without `SingleStack`, is left for validation to refuse.
 */
export function defaultFamilies(spec: ServiceSpec, families: readonly IpFamily[] = onlyIpv4, old?: ServiceSpec): void {
  if (spec.type === "ExternalName") return;
  // A Service that prefers two families stays as it is when the cluster has got, or lost, one meanwhile.
  if (old && staysAsItIs(spec, old)) return;
  spec.ipFamilies ??= [];
  if (old && old.type !== "ExternalName" && old.ipFamilies?.length === 2 && spec.ipFamilies.length === 1) return;
  for (const ip of spec.clusterIPs ?? []) {
    const family = ip.includes(":") ? "IPv6" : "IPv4";
    if (ip !== "None" && ip !== "" && !spec.ipFamilies.includes(family)) spec.ipFamilies.push(family);
  }
  if (spec.ipFamilies.length === 0) spec.ipFamilies = families.slice(0, 1);
  const isFree = isHeadlessWithoutSelector(spec);
  // Nothing is allocated and the endpoints are the user's own, so both families can be served.
  if (isFree) spec.ipFamilyPolicy ??= "RequireDualStack";
  spec.ipFamilyPolicy ??= "SingleStack";
  if (spec.ipFamilyPolicy === "SingleStack" || spec.ipFamilies.length !== 1) return;
  if (isFree || families.length === 2) spec.ipFamilies.push(otherFamily(spec.ipFamilies[0]));
}

function staysAsItIs(spec: ServiceSpec, old: ServiceSpec): boolean {
  return (
    old.type !== "ExternalName" &&
    spec.ipFamilyPolicy === "PreferDualStack" &&
    old.ipFamilyPolicy === "PreferDualStack" &&
    (old.clusterIPs?.length ?? 0) > 0 &&
    (old.ipFamilies?.length ?? 0) > 0 &&
    semanticEqual(spec.clusterIPs, old.clusterIPs) &&
    semanticEqual(spec.ipFamilies, old.ipFamilies)
  );
}

/** Who changes the policy to `SingleStack` and names nothing else gives the second address and family back. */
export function dropSecondFamily(spec: ServiceSpec, old: ServiceSpec): void {
  if (spec.type === "ExternalName" || old.type === "ExternalName") return;
  if (spec.ipFamilyPolicy !== "SingleStack" || (old.ipFamilyPolicy ?? "SingleStack") === "SingleStack") return;
  for (const field of ["clusterIPs", "ipFamilies"] as const) {
    const first = spec[field]?.[0];
    if (first !== undefined && semanticEqual(spec[field], old[field])) spec[field] = [first];
  }
}
