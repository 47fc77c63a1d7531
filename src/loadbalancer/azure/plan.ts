import { isDeepStrictEqual } from "node:util";
import { ProviderFailure, type ExposureKey, type ProviderStep } from "../provider/contract.ts";
import type { Part } from "./document.ts";
import { idsOf, type AzureSettings, type Desired, type SecurityRule } from "./desired.ts";

/** What exists in Azure for a Service. */
export interface Observed {
  readonly key: ExposureKey;
  readonly name: string;
  readonly publicIp?: { readonly address: string; readonly state: string };
  /** At most one, unless somebody has changed from public to internal by hand. */
  readonly parts: readonly Part[];
  readonly security: readonly SecurityRule[];
}

export type AzureStep =
  | { readonly do: "address"; readonly desired: Desired }
  | { readonly do: "part"; readonly desired: Desired }
  | { readonly do: "wait"; readonly internal: boolean; readonly key: ExposureKey }
  | { readonly do: "security"; readonly rule: SecurityRule }
  | { readonly do: "DeleteSecurity"; readonly name: string }
  | { readonly do: "DeletePart"; readonly key: ExposureKey; readonly internal: boolean }
  | { readonly do: "DeleteAddress"; readonly key: ExposureKey; readonly name: string };

const step = (summary: string, input: AzureStep): ProviderStep => ({ summary, input });

/** Where clients reach it; undefined while it has no address. */
export function addressOf({ publicIp, parts }: Observed): string | undefined {
  const frontend = parts[0]?.frontend;
  if (!frontend) return undefined;
  return (frontend.publicIp ? publicIp?.address : frontend.address) || undefined;
}

/** Pure. Throws ProviderFailure. */
export function planAzure(
  desired: Desired,
  observed: Observed | undefined,
  settings: AzureSettings,
): readonly ProviderStep[] {
  const { key, name, internal, requested } = desired;
  const part = observed?.parts[0];
  if (observed?.parts.some((one) => one.internal !== internal)) {
    const words = `the load balancer is ${internal ? "public" : "internal"}, which cannot be changed`;
    throw new ProviderFailure("Refused", `${words}; make the Service anew`);
  }
  const address = observed && addressOf(observed);
  if (requested !== undefined && address !== undefined && requested !== address) {
    const words = `the address ${requested} is asked for, but it has ${address}; make the Service anew`;
    throw new ProviderFailure("Refused", words);
  }
  const steps: ProviderStep[] = [];
  if (!internal && observed?.publicIp?.state !== "Succeeded")
    steps.push(step(`create public address ${name}`, { do: "address", desired }));
  if (!part || part.state === "Failed" || !isAsWanted(part, desired, settings)) {
    steps.push(step(`${part ? "change" : "create"} ${name} in the load balancer`, { do: "part", desired }));
  } else if (part.state !== "Succeeded") {
    steps.push(step(`wait while the load balancer is ${part.state}`, { do: "wait", internal, key }));
  }
  // Rules for clients may name the address, which a new one does not have yet: the next look goes on.
  if (address === undefined) return steps;
  for (const wanted of desired.security) {
    const rule = wanted.destinations.length > 0 ? wanted : { ...wanted, destinations: [address] };
    const found = observed?.security.find((one) => one.name === rule.name);
    if (isDeepStrictEqual(found, rule)) continue;
    steps.push(step(`${found ? "change" : "create"} security rule ${rule.name}`, { do: "security", rule }));
  }
  const kept = new Set(desired.security.map((one) => one.name));
  for (const one of observed?.security ?? []) {
    if (!kept.has(one.name))
      steps.push(step(`delete security rule ${one.name}`, { do: "DeleteSecurity", name: one.name }));
  }
  return steps;
}

function isAsWanted({ frontend, rules, probes, backends }: Part, desired: Desired, settings: AzureSettings): boolean {
  const ids = idsOf(settings, desired.key.cluster);
  const publicIp = desired.internal ? "" : ids.publicIp(desired.name).toLowerCase();
  return (
    frontend?.publicIp === publicIp &&
    frontend.subnet === desired.subnet.toLowerCase() &&
    isDeepStrictEqual([rules, probes, backends], [desired.rules, desired.probes, desired.backends])
  );
}

/** Pure. What something else names goes after it. */
export function planAzureRemoval({ key, name, publicIp, parts, security }: Observed): readonly ProviderStep[] {
  return [
    ...security.map((one) => step(`delete security rule ${one.name}`, { do: "DeleteSecurity", name: one.name })),
    ...parts.map(({ internal }) => step(`take ${name} out of the load balancer`, { do: "DeletePart", key, internal })),
    ...(publicIp ? [step(`delete public address ${name}`, { do: "DeleteAddress", key, name })] : []),
  ];
}
