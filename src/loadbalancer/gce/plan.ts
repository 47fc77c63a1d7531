import { isDeepStrictEqual } from "node:util";
import { ProviderFailure, type ExposureKey, type ProviderStep } from "../provider/contract.ts";
import type { Desired, Endpoint, Firewall, GceSettings, Group, Rule } from "./desired.ts";

export interface FoundRule extends Rule {
  readonly address: string;
  readonly globalAccess: boolean;
}
export interface FoundFirewall extends Firewall {
  readonly destinations: readonly string[];
}

/** What exists in Compute Engine for a Service. */
export interface Observed {
  readonly key: ExposureKey;
  readonly name: string;
  readonly address?: { readonly address: string; readonly type: string };
  readonly health?: { readonly port: number; readonly path: string };
  readonly backend?: {
    /** Zones of its groups, in order. */
    readonly zones: readonly string[];
    readonly affinity: string;
    /** What the change of it has to name, or is refused with 412. */
    readonly fingerprint: string;
  };
  readonly rules: readonly FoundRule[];
  readonly groups: readonly Group[];
  readonly firewalls: readonly FoundFirewall[];
}

/** Paths are below the project. */
export interface GceStep {
  readonly method: "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

/** Where things of a Service are. */
export function placesOf({ region }: GceSettings, name: string) {
  const regional = `regions/${region}`;
  return {
    addresses: `${regional}/addresses`,
    health: `${regional}/healthChecks`,
    backends: `${regional}/backendServices`,
    rules: `${regional}/forwardingRules`,
    firewalls: "global/firewalls",
    group: (zone: string) => `zones/${zone}/networkEndpointGroups/${name}`,
  };
}

export const insert = (what: string, path: string, body: object): ProviderStep => ({
  summary: `create ${what}`,
  input: { method: "POST", path, body } satisfies GceStep,
});
export const patch = (what: string, path: string, body: object): ProviderStep => ({
  summary: `change ${what}`,
  input: { method: "PATCH", path, body } satisfies GceStep,
});
/** The whole of it, in place of what is there. */
export const put = (what: string, path: string, body: object): ProviderStep => ({
  summary: `change ${what}`,
  input: { method: "PUT", path, body } satisfies GceStep,
});
export const drop = (what: string, path: string): ProviderStep => ({
  summary: `delete ${what}`,
  input: { method: "DELETE", path } satisfies GceStep,
});

export const networkOf = ({ network, project }: GceSettings) =>
  network.includes("/") ? network : `projects/${project}/global/networks/${network}`;
export const subnetworkOf = ({ subnetwork, project, region }: GceSettings) =>
  subnetwork.includes("/") ? subnetwork : `projects/${project}/regions/${region}/subnetworks/${subnetwork}`;

/** Pure. Throws ProviderFailure. */
export function planGce(
  desired: Desired,
  observed: Observed | undefined,
  settings: GceSettings,
): readonly ProviderStep[] {
  const { name, scheme, requested } = desired;
  const found: Observed = observed ?? { key: desired.key, name, rules: [], groups: [], firewalls: [] };
  if (found.address && found.address.type !== scheme) {
    const words = `load balancer ${name} is ${found.address.type}, which cannot be changed; make the Service anew`;
    throw new ProviderFailure("Refused", words);
  }
  if (requested !== undefined && found.address && found.address.address !== requested) {
    const words = `the address ${requested} is asked for, but it has ${found.address.address}; make the Service anew`;
    throw new ProviderFailure("Refused", words);
  }
  const places = placesOf(settings, name);
  const { description } = desired;
  const steps = [...baseSteps(desired, found, settings)];
  const kept = new Set(desired.groups.map(({ zone }) => zone));
  const gone = found.groups.filter(({ zone }) => !kept.has(zone));
  const backend = backendOf(desired, settings);
  if (!found.backend) steps.push(insert(`backend service ${name}`, places.backends, { name, description, ...backend }));
  else if (!isDeepStrictEqual([found.backend.zones, found.backend.affinity], [[...kept], desired.affinity])) {
    const { backends, sessionAffinity } = backend;
    const body = { fingerprint: found.backend.fingerprint, backends, sessionAffinity };
    steps.push(patch(`backend service ${name}`, `${places.backends}/${name}`, body));
  }
  // Groups that nothing sends to any more.
  for (const { zone } of gone) steps.push(drop(`endpoint group ${name} in ${zone}`, places.group(zone)));
  // The rest names the address, which a new one does not have yet: the next look goes on.
  const address = found.address?.address;
  if (address === undefined) return steps;
  steps.push(...frontSteps(desired, found, settings, address));
  return steps;
}

/** The address, the health check, the groups of machines and what lets health checks in. */
function baseSteps(desired: Desired, found: Observed, settings: GceSettings): readonly ProviderStep[] {
  const { name, description, scheme, requested, healthPort } = desired;
  const places = placesOf(settings, name);
  const steps: ProviderStep[] = [];
  if (!found.address) {
    const where =
      scheme === "INTERNAL"
        ? // Rules of two protocols have one address.
          { purpose: "SHARED_LOADBALANCER_VIP", subnetwork: subnetworkOf(settings) }
        : { networkTier: settings.tier };
    const body = {
      name,
      description,
      addressType: scheme,
      ...where,
      ...(requested === undefined ? {} : { address: requested }),
    };
    steps.push(insert(`address ${name}`, places.addresses, body));
  }
  const httpHealthCheck = { port: healthPort, requestPath: "/healthz" };
  if (!found.health) {
    const times = { checkIntervalSec: 8, timeoutSec: 1, healthyThreshold: 1, unhealthyThreshold: 3 };
    const body = { name, description, type: "HTTP", ...times, httpHealthCheck };
    steps.push(insert(`health check ${name}`, places.health, body));
  } else if (!isDeepStrictEqual(found.health, { port: healthPort, path: "/healthz" })) {
    steps.push(patch(`health check ${name}`, `${places.health}/${name}`, { type: "HTTP", httpHealthCheck }));
  }
  for (const { zone, endpoints } of desired.groups) {
    const group = found.groups.find((one) => one.zone === zone);
    if (!group) {
      const body = {
        name,
        description,
        networkEndpointType: "GCE_VM_IP",
        network: networkOf(settings),
        subnetwork: subnetworkOf(settings),
      };
      const path = `zones/${zone}/networkEndpointGroups`;
      steps.push(insert(`endpoint group ${name} in ${zone}`, path, body));
    }
    steps.push(...endpointSteps(name, zone, endpoints, group?.endpoints ?? []));
  }
  return steps;

  function endpointSteps(of: string, zone: string, wanted: readonly Endpoint[], has: readonly Endpoint[]) {
    const isIn = (list: readonly Endpoint[], one: Endpoint) => list.some((other) => isDeepStrictEqual(one, other));
    const bodyOf = (list: readonly Endpoint[]) => ({
      networkEndpoints: list.map(({ instance, address }) => ({ instance, ipAddress: address })),
    });
    // New ones first, so that there is always one.
    const changes = [
      ["attach", wanted.filter((one) => !isIn(has, one))],
      ["detach", has.filter((one) => !isIn(wanted, one))],
    ] as const;
    return changes.flatMap(([verb, list]) => {
      if (list.length === 0) return [];
      const path = `${places.group(zone)}/${verb}NetworkEndpoints`;
      const summary = `${verb} ${list.length} machines of ${zone} in ${of}`;
      return [{ summary, input: { method: "POST", path, body: bodyOf(list) } satisfies GceStep }];
    });
  }
}

function backendOf({ scheme, affinity, groups, name }: Desired, settings: GceSettings) {
  const of = `projects/${settings.project}`;
  return {
    loadBalancingScheme: scheme,
    // Of any protocol: rules of TCP and of UDP send to one.
    protocol: "UNSPECIFIED",
    sessionAffinity: affinity,
    connectionDraining: { drainingTimeoutSec: 30 },
    healthChecks: [`${of}/${placesOf(settings, name).health}/${name}`],
    backends: groups.map(({ zone }) => ({
      group: `${of}/${placesOf(settings, name).group(zone)}`,
      balancingMode: "CONNECTION",
    })),
    ...(scheme === "INTERNAL" ? { network: networkOf(settings) } : {}),
  };
}

/** Forwarding rules and firewall rules. */
function frontSteps(
  desired: Desired,
  found: Observed,
  settings: GceSettings,
  address: string,
): readonly ProviderStep[] {
  const { name, description, scheme, globalAccess } = desired;
  const places = placesOf(settings, name);
  const steps: ProviderStep[] = [];
  for (const firewall of desired.firewalls) {
    const has = found.firewalls.find((one) => one.name === firewall.name);
    const destinations = firewall.toAddress ? [`${address}/32`] : [];
    const body = {
      sourceRanges: firewall.sources,
      allowed: firewall.allowed.map(({ protocol, ports }) => ({ IPProtocol: protocol, ports })),
      targetTags: firewall.tags,
      ...(firewall.toAddress ? { destinationRanges: destinations } : {}),
    };
    const what = `firewall rule ${firewall.name}`;
    if (!has) {
      const more = { name: firewall.name, description, network: networkOf(settings), direction: "INGRESS" };
      steps.push(insert(what, places.firewalls, { ...more, ...body }));
    } else if (!isDeepStrictEqual(has, { ...firewall, destinations })) {
      steps.push(patch(what, `${places.firewalls}/${firewall.name}`, { name: firewall.name, ...body }));
    }
  }
  const firewalls = new Set(desired.firewalls.map((one) => one.name));
  for (const one of found.firewalls) {
    if (!firewalls.has(one.name)) steps.push(drop(`firewall rule ${one.name}`, `${places.firewalls}/${one.name}`));
  }
  for (const rule of desired.rules) {
    const has = found.rules.find((one) => one.name === rule.name);
    const what = `forwarding rule ${rule.name}`;
    if (has && isDeepStrictEqual(has, { ...rule, address, globalAccess })) continue;
    // Ports cannot be changed. The address is reserved, and stays.
    if (has) steps.push(drop(what, `${places.rules}/${rule.name}`));
    const where =
      scheme === "INTERNAL"
        ? { network: networkOf(settings), subnetwork: subnetworkOf(settings), allowGlobalAccess: globalAccess }
        : { networkTier: settings.tier };
    const body = {
      name: rule.name,
      description,
      loadBalancingScheme: scheme,
      IPAddress: address,
      IPProtocol: rule.protocol,
      ...(rule.ports.length > 0 ? { ports: rule.ports } : { allPorts: true }),
      backendService: `projects/${settings.project}/${places.backends}/${name}`,
      ...where,
    };
    steps.push(insert(what, places.rules, body));
  }
  const rules = new Set(desired.rules.map((one) => one.name));
  for (const one of found.rules) {
    if (!rules.has(one.name)) steps.push(drop(`forwarding rule ${one.name}`, `${places.rules}/${one.name}`));
  }
  return steps;
}

/** Pure. What something else names goes after it. */
export function planGceRemoval(found: Observed, settings: GceSettings): readonly ProviderStep[] {
  const { name, rules, firewalls, groups } = found;
  const places = placesOf(settings, name);
  return [
    ...rules.map((one) => drop(`forwarding rule ${one.name}`, `${places.rules}/${one.name}`)),
    ...(found.backend ? [drop(`backend service ${name}`, `${places.backends}/${name}`)] : []),
    ...(found.health ? [drop(`health check ${name}`, `${places.health}/${name}`)] : []),
    ...groups.map(({ zone }) => drop(`endpoint group ${name} in ${zone}`, places.group(zone))),
    ...firewalls.map((one) => drop(`firewall rule ${one.name}`, `${places.firewalls}/${one.name}`)),
    ...(found.address ? [drop(`address ${name}`, `${places.addresses}/${name}`)] : []),
  ];
}
