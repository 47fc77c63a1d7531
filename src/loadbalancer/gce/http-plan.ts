import { isDeepStrictEqual } from "node:util";
import { ProviderFailure, type ExposureKey, type ProviderStep } from "../provider/contract.ts";
import type { GceSettings } from "./desired.ts";
import {
  frontName,
  type HttpDesired,
  type PathRule,
  type PortEndpoint,
  type PortGroup,
  type ProxyFirewall,
  type UrlMap,
} from "./http-desired.ts";
import { drop, insert, networkOf, patch, put, subnetworkOf, type GceStep } from "./plan.ts";

export interface FoundBackend {
  readonly name: string;
  /** Zones of its groups, in order; of a group of another name, its URL. */
  readonly zones: readonly string[];
  readonly healthChecks: readonly string[];
  readonly fingerprint: string;
}
export interface FoundProxy {
  readonly port: 80 | 443;
  /** Names. */
  readonly urlMap: string;
  readonly certificates: readonly string[];
}
export interface FoundFront {
  readonly port: 80 | 443;
  readonly portRange: string;
  readonly address: string;
  /** Name of the proxy. */
  readonly target: string;
  readonly globalAccess: boolean;
}

/** What exists in Compute Engine for an Ingress. */
export interface HttpObserved {
  readonly http: true;
  readonly key: ExposureKey;
  readonly name: string;
  readonly address?: { readonly address: string; readonly type: string };
  readonly health?: { readonly type: string; readonly port: string };
  readonly backends: readonly FoundBackend[];
  readonly groups: readonly PortGroup[];
  readonly urlMap?: { readonly map: UrlMap; readonly fingerprint: string };
  readonly proxies: readonly FoundProxy[];
  readonly fronts: readonly FoundFront[];
  /** Names of those that were uploaded for it. */
  readonly certificates: readonly string[];
  readonly firewall?: ProxyFirewall;
}

/** Where parts of an Ingress are. */
export function httpPlacesOf({ region }: GceSettings) {
  const regional = `regions/${region}`;
  return {
    addresses: `${regional}/addresses`,
    health: `${regional}/healthChecks`,
    backends: `${regional}/backendServices`,
    urlMaps: `${regional}/urlMaps`,
    proxies: (port: 80 | 443) => `${regional}/${port === 80 ? "targetHttpProxies" : "targetHttpsProxies"}`,
    fronts: `${regional}/forwardingRules`,
    certificates: `${regional}/sslCertificates`,
    firewalls: "global/firewalls",
    groups: (zone: string) => `zones/${zone}/networkEndpointGroups`,
  };
}

const post = (summary: string, path: string, body: object): ProviderStep => ({
  summary,
  input: { method: "POST", path, body } satisfies GceStep,
});
const nothing = { http: true, backends: [], groups: [], proxies: [], fronts: [], certificates: [] } as const;
/** Each node port is looked at by itself: a connection counts. */
const servingPort = { type: "TCP", port: "USE_SERVING_PORT" } as const;

/** What is used is there before what uses it, and goes after it. Pure. Throws ProviderFailure. */
export function planHttp(
  desired: HttpDesired,
  observed: HttpObserved | undefined,
  settings: GceSettings,
): readonly ProviderStep[] {
  const { name, scheme, key } = desired;
  const found = observed ?? { ...nothing, key, name };
  if (found.address && found.address.type !== scheme) {
    const words = `load balancer ${name} is ${found.address.type}, which cannot be changed; make the Ingress anew`;
    throw new ProviderFailure("Refused", words);
  }
  return [
    ...baseSteps(desired, found, settings),
    ...backendSteps(desired, found, settings),
    ...urlMapSteps(desired, found, settings),
    ...frontSteps(desired, found, settings),
    ...leftoverSteps(desired, found, settings),
  ];
}

function baseSteps(desired: HttpDesired, found: HttpObserved, settings: GceSettings): readonly ProviderStep[] {
  const { name, description, scheme } = desired;
  const places = httpPlacesOf(settings);
  const steps: ProviderStep[] = [];
  if (!found.address) {
    const where =
      scheme === "INTERNAL"
        ? // Ports 80 and 443 have one address.
          { purpose: "SHARED_LOADBALANCER_VIP", subnetwork: subnetworkOf(settings) }
        : { networkTier: settings.tier };
    steps.push(insert(`address ${name}`, places.addresses, { name, description, addressType: scheme, ...where }));
  }
  const check = { type: servingPort.type, tcpHealthCheck: { portSpecification: servingPort.port } };
  if (!found.health) {
    const times = { checkIntervalSec: 5, timeoutSec: 5, healthyThreshold: 1, unhealthyThreshold: 2 };
    steps.push(insert(`health check ${name}`, places.health, { name, description, ...check, ...times }));
  } else if (!isDeepStrictEqual(found.health, servingPort)) {
    steps.push(patch(`health check ${name}`, `${places.health}/${name}`, check));
  }
  steps.push(...firewallSteps(desired, found, settings, "before"));
  return steps;
}

/** Ports that come are let in before requests are sent to them, ports that go are kept out after. */
function firewallSteps(
  { name, description, firewall }: HttpDesired,
  { firewall: has }: HttpObserved,
  settings: GceSettings,
  when: "before" | "after",
): readonly ProviderStep[] {
  const { firewalls } = httpPlacesOf(settings);
  const what = `firewall rule ${name}`;
  if (!firewall) return has && when === "after" ? [drop(what, `${firewalls}/${name}`)] : [];
  const bodyOf = ({ sources, tags, ports }: ProxyFirewall) => ({
    sourceRanges: sources,
    targetTags: tags,
    allowed: [{ IPProtocol: "tcp", ports }],
  });
  if (!has) {
    if (when === "after" || firewall.ports.length === 0) return [];
    const more = { name, description, network: networkOf(settings), direction: "INGRESS" };
    return [insert(what, firewalls, { ...more, ...bodyOf(firewall) })];
  }
  if (firewall.ports.length === 0) return when === "after" ? [drop(what, `${firewalls}/${name}`)] : [];
  const both = [...new Set([...firewall.ports, ...has.ports])].sort((a, b) => Number(a) - Number(b));
  const [from, to] = when === "before" ? [has, { ...firewall, ports: both }] : [{ ...firewall, ports: both }, firewall];
  return isDeepStrictEqual(from, to) ? [] : [patch(what, `${firewalls}/${name}`, { name, ...bodyOf(to) })];
}

function backendSteps(desired: HttpDesired, found: HttpObserved, settings: GceSettings): readonly ProviderStep[] {
  const { name, description, scheme } = desired;
  const places = httpPlacesOf(settings);
  const of = `projects/${settings.project}`;
  const steps = desired.groups.flatMap((group) => groupSteps(desired, group, found, settings));
  for (const backend of desired.backends) {
    const zones = desired.groups.filter((one) => one.name === backend).map(({ zone }) => zone);
    const body = {
      healthChecks: [`${of}/${places.health}/${name}`],
      backends: zones.map((zone) => ({
        group: `${of}/${places.groups(zone)}/${backend}`,
        balancingMode: "RATE",
        // Each counts as full at once, so all get the same share.
        maxRatePerEndpoint: 1,
      })),
    };
    const has = found.backends.find((one) => one.name === backend);
    if (!has) {
      const more = { name: backend, description, loadBalancingScheme: `${scheme}_MANAGED`, protocol: "HTTP" };
      const draining = { connectionDraining: { drainingTimeoutSec: 30 } };
      steps.push(insert(`backend service ${backend}`, places.backends, { ...more, ...draining, ...body }));
    } else if (!isDeepStrictEqual([has.zones, has.healthChecks], [zones, [name]])) {
      const path = `${places.backends}/${backend}`;
      steps.push(patch(`backend service ${backend}`, path, { fingerprint: has.fingerprint, ...body }));
    }
  }
  return steps;
}

function groupSteps(
  { description }: HttpDesired,
  { name, zone, endpoints }: PortGroup,
  found: HttpObserved,
  settings: GceSettings,
): readonly ProviderStep[] {
  const place = httpPlacesOf(settings).groups(zone);
  const group = found.groups.find((one) => one.name === name && one.zone === zone);
  const steps: ProviderStep[] = [];
  if (!group) {
    const where = { network: networkOf(settings), subnetwork: subnetworkOf(settings) };
    const body = { name, description, networkEndpointType: "GCE_VM_IP_PORT", ...where };
    steps.push(insert(`endpoint group ${name} in ${zone}`, place, body));
  }
  const isIn = (list: readonly PortEndpoint[], one: PortEndpoint) => list.some((each) => isDeepStrictEqual(each, one));
  const has = group?.endpoints ?? [];
  // New ones first, so that there is always one.
  for (const [verb, list] of [
    ["attach", endpoints.filter((one) => !isIn(has, one))],
    ["detach", has.filter((one) => !isIn(endpoints, one))],
  ] as const) {
    if (list.length === 0) continue;
    const networkEndpoints = list.map(({ instance, address, port }) => ({ instance, ipAddress: address, port }));
    const summary = `${verb} ${list.length} machines of ${zone} in ${name}`;
    steps.push(post(summary, `${place}/${name}/${verb}NetworkEndpoints`, { networkEndpoints }));
  }
  return steps;
}

function urlMapSteps(desired: HttpDesired, found: HttpObserved, settings: GceSettings): readonly ProviderStep[] {
  const { name, description, urlMap } = desired;
  const places = httpPlacesOf(settings);
  if (found.urlMap && isDeepStrictEqual(found.urlMap.map, urlMap)) return [];
  const url = (backend: string) => `projects/${settings.project}/${places.backends}/${backend}`;
  const rest = {
    defaultService: url(urlMap.fallback),
    // A backend service without machines would answer 503.
    ...(urlMap.isRefused
      ? { defaultRouteAction: { faultInjectionPolicy: { abort: { httpStatus: 404, percentage: 100 } } } }
      : {}),
  };
  const ruleOf = ({ paths, backend }: PathRule) => ({ paths, service: url(backend) });
  const body = {
    name,
    description,
    ...rest,
    hostRules: urlMap.matchers.map((one) => ({ hosts: [one.host], pathMatcher: one.name })),
    pathMatchers: urlMap.matchers.map((one) => ({ name: one.name, ...rest, pathRules: one.rules.map(ruleOf) })),
  };
  if (!found.urlMap) return [insert(`URL map ${name}`, places.urlMaps, body)];
  const { fingerprint } = found.urlMap;
  return [put(`URL map ${name}`, `${places.urlMaps}/${name}`, { ...body, fingerprint })];
}

/** Certificates, proxies and forwarding rules. */
function frontSteps(desired: HttpDesired, found: HttpObserved, settings: GceSettings): readonly ProviderStep[] {
  const { name, description, scheme, certificates } = desired;
  const places = httpPlacesOf(settings);
  const at = (path: string) => `projects/${settings.project}/${path}`;
  const steps: ProviderStep[] = [];
  for (const { name: of, pair } of certificates) {
    if (!pair || found.certificates.includes(of)) continue;
    const { certificate, key: privateKey } = pair;
    steps.push(insert(`certificate ${of}`, places.certificates, { name: of, description, certificate, privateKey }));
  }
  const urlMap = at(`${places.urlMaps}/${name}`);
  const address = found.address?.address;
  for (const port of desired.ports) {
    const proxy = frontName(name, port);
    const place = places.proxies(port);
    const has = found.proxies.find((one) => one.port === port);
    const wanted = port === 443 ? certificates.map((one) => one.name) : [];
    const list = { sslCertificates: wanted.map((one) => at(`${places.certificates}/${one}`)) };
    if (!has) {
      const body = { name: proxy, description, urlMap, ...(port === 443 ? list : {}) };
      steps.push(insert(`proxy ${proxy}`, place, body));
    } else {
      if (has.urlMap !== name)
        steps.push(post(`set the URL map of ${proxy}`, `${place}/${proxy}/setUrlMap`, { urlMap }));
      if (!isDeepStrictEqual(has.certificates, wanted))
        steps.push(post(`set certificates of ${proxy}`, `${place}/${proxy}/setSslCertificates`, list));
    }
    // A new address is not known yet: the next look goes on.
    if (address === undefined) continue;
    const front = found.fronts.find((one) => one.port === port);
    const { globalAccess } = desired;
    const right = { port, portRange: `${port}-${port}`, address, target: proxy, globalAccess };
    if (front && isDeepStrictEqual(front, right)) continue;
    // It cannot be changed. The address is reserved, and stays.
    if (front) steps.push(drop(`forwarding rule ${proxy}`, `${places.fronts}/${proxy}`));
    const where =
      scheme === "INTERNAL"
        ? { subnetwork: subnetworkOf(settings), allowGlobalAccess: globalAccess }
        : { networkTier: settings.tier };
    const body = {
      name: proxy,
      description,
      loadBalancingScheme: `${scheme}_MANAGED`,
      IPAddress: address,
      IPProtocol: "TCP",
      portRange: `${port}-${port}`,
      target: at(`${place}/${proxy}`),
      network: networkOf(settings),
      ...where,
    };
    steps.push(insert(`forwarding rule ${proxy}`, places.fronts, body));
  }
  return steps;
}

/** What nothing sends to any more. */
function leftoverSteps(desired: HttpDesired, found: HttpObserved, settings: GceSettings): readonly ProviderStep[] {
  const isWanted = (port: 80 | 443) => desired.ports.includes(port);
  const certificates = new Set(desired.certificates.map(({ name }) => name));
  const backends = new Set(desired.backends);
  const groups = new Set(desired.groups.map(({ name, zone }) => `${name} ${zone}`));
  return [
    ...dropSteps(
      {
        fronts: found.fronts.filter(({ port }) => !isWanted(port)),
        proxies: found.proxies.filter(({ port }) => !isWanted(port)),
        certificates: found.certificates.filter((one) => !certificates.has(one)),
        backends: found.backends.filter(({ name }) => !backends.has(name)),
        groups: found.groups.filter(({ name, zone }) => !groups.has(`${name} ${zone}`)),
      },
      found.name,
      settings,
    ),
    ...firewallSteps(desired, found, settings, "after"),
  ];
}

type Parts = Pick<HttpObserved, "fronts" | "proxies" | "certificates" | "backends" | "groups">;

function dropSteps(parts: Parts & { urlMap?: unknown }, name: string, settings: GceSettings): readonly ProviderStep[] {
  const places = httpPlacesOf(settings);
  const front = (port: 80 | 443) => frontName(name, port);
  return [
    ...parts.fronts.map(({ port }) => drop(`forwarding rule ${front(port)}`, `${places.fronts}/${front(port)}`)),
    ...parts.proxies.map(({ port }) => drop(`proxy ${front(port)}`, `${places.proxies(port)}/${front(port)}`)),
    ...parts.certificates.map((one) => drop(`certificate ${one}`, `${places.certificates}/${one}`)),
    ...(parts.urlMap ? [drop(`URL map ${name}`, `${places.urlMaps}/${name}`)] : []),
    ...parts.backends.map((one) => drop(`backend service ${one.name}`, `${places.backends}/${one.name}`)),
    ...parts.groups.map((one) =>
      drop(`endpoint group ${one.name} in ${one.zone}`, `${places.groups(one.zone)}/${one.name}`),
    ),
  ];
}

/** Pure. */
export function planHttpRemoval(found: HttpObserved, settings: GceSettings): readonly ProviderStep[] {
  const { name } = found;
  const places = httpPlacesOf(settings);
  return [
    ...dropSteps(found, name, settings),
    ...(found.health ? [drop(`health check ${name}`, `${places.health}/${name}`)] : []),
    ...(found.firewall ? [drop(`firewall rule ${name}`, `${places.firewalls}/${name}`)] : []),
    ...(found.address ? [drop(`address ${name}`, `${places.addresses}/${name}`)] : []),
  ];
}
