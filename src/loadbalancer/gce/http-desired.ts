import { createHash } from "node:crypto";
import {
  ProviderFailure,
  type Exposure,
  type ExposureKey,
  type HttpBackend,
  type HttpRule,
} from "../provider/contract.ts";
import {
  descriptionOf,
  globalAccess,
  globalAccessAnnotation,
  groupsOf,
  nameOf,
  probes,
  schemeOf,
  typeAnnotation,
  type Endpoint,
  type GceSettings,
  type Scheme,
} from "./desired.ts";

/** GKE's own: `false` leaves port 80 out. */
export const allowHttpAnnotation = "kubernetes.io/ingress.allow-http";

/** A machine at a node port. */
export interface PortEndpoint extends Endpoint {
  readonly port: number;
}

/** Machines of a zone behind a backend service. */
export interface PortGroup {
  /** The backend service's too. */
  readonly name: string;
  readonly zone: string;
  /** By instance. */
  readonly endpoints: readonly PortEndpoint[];
}

export interface PathRule {
  /** Sorted: `/a` is one path, `/a/*` all under it. The longest that matches counts. */
  readonly paths: readonly string[];
  /** Name of a backend service. */
  readonly backend: string;
}

export interface HostMatcher {
  readonly host: string;
  readonly name: string;
  /** By backend. */
  readonly rules: readonly PathRule[];
}

/** Requests by host, then by path; to `fallback` where nothing matches, and that is 404 where nobody named one. */
export interface UrlMap {
  readonly fallback: string;
  readonly isRefused: boolean;
  /** By name. */
  readonly matchers: readonly HostMatcher[];
}

export interface Certificate {
  readonly name: string;
  /** Absent: it is somebody else's, and there. */
  readonly pair?: { readonly certificate: string; readonly key: string };
}

export interface ProxyFirewall {
  readonly sources: readonly string[];
  readonly tags: readonly string[];
  readonly ports: readonly string[];
}

/** An Ingress as a regional Application Load Balancer. */
export interface HttpDesired {
  readonly key: ExposureKey;
  readonly name: string;
  readonly description: string;
  readonly scheme: Scheme;
  readonly globalAccess: boolean;
  /** Backend services, by name; the one that refuses has no machines. */
  readonly backends: readonly string[];
  readonly groups: readonly PortGroup[];
  readonly urlMap: UrlMap;
  /** 80, 443 or both. */
  readonly ports: readonly (80 | 443)[];
  /** The first is for names that have none. */
  readonly certificates: readonly Certificate[];
  readonly firewall?: ProxyFirewall;
}

const mostCertificates = 15;
const digest = (value: unknown) => createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 12);
const refused = (message: string) => new ProviderFailure("Refused", message);

/** Of an Ingress's parts: none is a Service's. */
export const httpNameOf = (key: ExposureKey): string => `${nameOf(key)}-l7`;
export const frontName = (name: string, port: 80 | 443): string => `${name}-${port}`;

/** Pure. Throws ProviderFailure Refused. */
export function httpDesiredOf(exposure: Exposure, settings: GceSettings): HttpDesired {
  const { key, http, annotations, targets } = exposure;
  const name = httpNameOf(key);
  const scheme = schemeOf(annotations[typeAnnotation], settings.scheme);
  const zones = groupsOf(targets, settings);
  const groups = new Map<string, readonly PortGroup[]>();
  const nodePorts = new Set<number>();
  const backendOf = ({ namespace, service, port, nodePort }: HttpBackend): string => {
    if (nodePort === undefined)
      throw refused(`Service ${namespace}/${service} has no node port; make it of type NodePort`);
    const of = `${name}-${digest([namespace, service, port])}`;
    const withPort = (one: Endpoint): PortEndpoint => ({ ...one, port: nodePort });
    nodePorts.add(nodePort);
    groups.set(
      of,
      zones.map(({ zone, endpoints }) => ({ name: of, zone, endpoints: endpoints.map(withPort) })),
    );
    return of;
  };
  const rules = (http?.rules ?? []).map((rule) => ({ ...rule, to: backendOf(rule.backend) }));
  const isRefused = !http?.fallback;
  const fallback = http?.fallback ? backendOf(http.fallback) : `${name}-none`;
  const certificates = (http?.certificates ?? []).map(({ name: of, pair }): Certificate =>
    pair ? { name: `${name}-${digest(pair)}`, pair } : { name: of },
  );
  if (certificates.length > mostCertificates)
    throw refused(`spec.tls: ${certificates.length} certificates, Google Cloud takes ${mostCertificates}`);
  return {
    key,
    name,
    description: descriptionOf(key),
    scheme,
    globalAccess: globalAccess(annotations[globalAccessAnnotation], scheme),
    backends: [...groups.keys(), ...(isRefused ? [fallback] : [])].sort(),
    groups: [...groups.values()].flat().sort(byNameAndZone),
    urlMap: { fallback, isRefused, matchers: matchersOf(rules) },
    ports: portsOf(annotations[allowHttpAnnotation], certificates.length > 0),
    certificates: [...new Map(certificates.map((one) => [one.name, one])).values()],
    ...(settings.firewalls ? { firewall: firewallOf(settings, nodePorts) } : {}),
  };
}

function portsOf(annotation: string | undefined, hasTls: boolean): readonly (80 | 443)[] {
  const isPlain = annotation === undefined || annotation === "true";
  if (!isPlain && annotation !== "false") throw refused(`annotation ${allowHttpAnnotation}: true or false is needed`);
  if (!isPlain && !hasTls) throw refused(`annotation ${allowHttpAnnotation}: false needs spec.tls, or no port is left`);
  return [...(isPlain ? [80 as const] : []), ...(hasTls ? [443 as const] : [])];
}

function firewallOf({ proxyRanges, nodeTags }: GceSettings, nodePorts: ReadonlySet<number>): ProxyFirewall {
  if (proxyRanges.length === 0) {
    const words =
      "blocks of the region's proxy-only subnet, which firewall rules have to let in, or set firewalls: false";
    throw refused(`config.proxyRanges is missing: ${words}`);
  }
  return {
    // Health checks of Application Load Balancers come from where those of internal ones come from.
    sources: [...probes.INTERNAL, ...proxyRanges].sort(),
    tags: [...nodeTags].sort(),
    ports: [...nodePorts].sort((a, b) => a - b).map(String),
  };
}

type Led = HttpRule & { readonly to: string };

/** The rules come in the order in which they count; Google takes the host that fits best, and looks no further. */
function matchersOf(rules: readonly Led[]): readonly HostMatcher[] {
  const hosts = [...new Set(rules.map(({ host }) => host))];
  return hosts
    .map((host): HostMatcher => {
      // What stands for more hosts counts after it, where it leaves something.
      const mine = rules.filter((one) => one.host === host || covers(one.host, host));
      return { host: host || "*", name: `m-${digest(host)}`, rules: pathRulesOf(mine) };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

const covers = (wide: string, host: string) =>
  wide === "" ? host !== "" : wide.startsWith("*.") && host !== wide && oneLabelOf(host, wide.slice(1));
const oneLabelOf = (host: string, suffix: string) =>
  host.endsWith(suffix) && !host.startsWith("*") && !host.slice(0, -suffix.length).includes(".");

/** A rule that counts before keeps all under its prefix; otherwise the longest path counts, as it does in an Ingress. */
function pathRulesOf(rules: readonly Led[]): readonly PathRule[] {
  const patterns = new Map<string, string>();
  const earlier: Led[] = [];
  for (const rule of rules) {
    const path = bareOf(rule);
    const isCovered = earlier.some((one) => {
      const prefix = bareOf(one);
      return one.host !== rule.host && one.match === "Prefix" && (path === prefix || path.startsWith(`${prefix}/`));
    });
    earlier.push(rule);
    if (isCovered) continue;
    for (const one of patternsOf(path, rule.match)) if (!patterns.has(one)) patterns.set(one, rule.to);
  }
  const backends = [...new Set(patterns.values())].sort();
  return backends.map((backend) => ({
    backend,
    paths: [...patterns].flatMap(([path, to]) => (to === backend ? [path] : [])).sort(),
  }));
}

/** Prefixes match by element: `/shop` is `/shop` and all under it. */
function bareOf({ path, match }: HttpRule): string {
  if (/[*?#]/.test(path))
    throw refused(`spec.rules: the path ${path.slice(0, 80)} has *, ? or #, which Google Cloud reads otherwise`);
  if (path.length > 1_000) throw refused("spec.rules: Google Cloud takes paths of at most 1,000 characters");
  return match === "Exact" ? path : path.replace(/\/+$/, "");
}

const patternsOf = (path: string, match: HttpRule["match"]): readonly string[] =>
  match === "Exact" ? [path] : path === "" ? ["/*"] : [path, `${path}/*`];

export const byNameAndZone = (a: PortGroup, b: PortGroup): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : a.zone < b.zone ? -1 : a.zone > b.zone ? 1 : 0;
