import { createHash } from "node:crypto";
import { ProviderFailure, type Exposure, type ExposureKey, type ExposureTarget } from "../provider/contract.ts";

/** Annotations that are read: the first is GKE's own. */
export const typeAnnotation = "networking.gke.io/load-balancer-type";
export const globalAccessAnnotation = "networking.gke.io/internal-load-balancer-allow-global-access";

export type Scheme = "INTERNAL" | "EXTERNAL";

export interface GceSettings {
  readonly project: string;
  readonly region: string;
  /** Of Nodes that have no provider ID; "": they are left out. */
  readonly zone: string;
  /** Name, or `projects/P/global/networks/N` where another project has it. */
  readonly network: string;
  readonly subnetwork: string;
  readonly scheme: Scheme;
  readonly tier: "PREMIUM" | "STANDARD";
  /** Tags of the machines that firewall rules are for. */
  readonly nodeTags: readonly string[];
  /** Make firewall rules. */
  readonly firewalls: boolean;
  /** Blocks of the proxy-only subnet, where requests of Ingresses come from. */
  readonly proxyRanges: readonly string[];
  /** Where each node says whether its Service proxy works, path /healthz. */
  readonly healthPort: number;
}

export interface Endpoint {
  readonly instance: string;
  readonly address: string;
}

export interface Group {
  readonly zone: string;
  /** By instance. */
  readonly endpoints: readonly Endpoint[];
}

export interface Rule {
  readonly name: string;
  readonly protocol: "TCP" | "UDP";
  /** Empty: all. A rule takes five at most; what is not asked for is kept out by the firewall and answered by no node. */
  readonly ports: readonly string[];
}

export interface Firewall {
  readonly name: string;
  readonly sources: readonly string[];
  readonly tags: readonly string[];
  readonly allowed: readonly { readonly protocol: string; readonly ports: readonly string[] }[];
  /** For clients: only what goes to the load balancer's address. */
  readonly toAddress: boolean;
}

/** A Service as a passthrough Network Load Balancer. */
export interface Desired {
  readonly key: ExposureKey;
  readonly name: string;
  readonly description: string;
  readonly scheme: Scheme;
  readonly requested?: string;
  readonly healthPort: number;
  readonly affinity: "NONE" | "CLIENT_IP";
  readonly globalAccess: boolean;
  readonly groups: readonly Group[];
  readonly rules: readonly Rule[];
  readonly firewalls: readonly Firewall[];
}

const mostRulePorts = 5;
/** Where Google's health checks come from (documentation of its load balancers, "Probe IP ranges and firewall rules"). */
export const probes: Readonly<Record<Scheme, readonly string[]>> = {
  INTERNAL: ["130.211.0.0/22", "35.191.0.0/16"],
  EXTERNAL: ["209.85.152.0/22", "209.85.204.0/22", "35.191.0.0/16"],
};

const digest = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 20);

/** Of all that is made for a Service. Names of Compute Engine hold 63 characters. */
export const nameOf = ({ cluster, uid }: ExposureKey): string => `fl-${digest(`${cluster}/${uid}`)}`;
export const ruleNames = (name: string) => [`${name}-tcp`, `${name}-udp`] as const;
export const firewallNames = (name: string) => [name, `${name}-hc`] as const;
/** Names that `nameOf` begins, as Compute Engine's filters say it. */
export const ourNames = 'name eq "fl-[0-9a-f]{20}.*"';

/** Whose something is stands in its description. */
export function descriptionOf({ cluster, namespace, name, uid }: ExposureKey): string {
  return JSON.stringify({ "fairlead.dev": { cluster, namespace, name, uid } });
}

/** Undefined: it was not made by us. */
export function ownerIn(description: string | undefined): ExposureKey | undefined {
  if (!description?.startsWith('{"fairlead.dev":')) return undefined;
  try {
    const { "fairlead.dev": of } = JSON.parse(description) as Record<string, Record<string, unknown>>;
    const text = (field: string) => (typeof of?.[field] === "string" ? of[field] : undefined);
    const [cluster, namespace, name, uid] = [text("cluster"), text("namespace"), text("name"), text("uid")];
    if (cluster === undefined || namespace === undefined || name === undefined || uid === undefined) return undefined;
    return { cluster, namespace, name, uid };
  } catch {
    return undefined;
  }
}

const refused = (message: string) => new ProviderFailure("Refused", message);

/** Pure. Throws ProviderFailure Refused. */
export function desiredOf(exposure: Exposure, settings: GceSettings): Desired {
  const { key, ports, annotations, healthCheckNodePort, sessionAffinity, requestedAddress, sourceRanges } = exposure;
  const name = nameOf(key);
  const scheme = schemeOf(annotations[typeAnnotation], settings.scheme);
  const healthPort = healthCheckNodePort ?? settings.healthPort;
  const numbersOf = (protocol: string) => {
    const numbers = ports.filter((one) => one.protocol === protocol).map(({ port }) => port);
    return [...new Set(numbers)].sort((a, b) => a - b).map(String);
  };
  const protocols = (["TCP", "UDP"] as const).filter((one) => numbersOf(one).length > 0);
  const tags = [...settings.nodeTags].sort();
  return {
    key,
    name,
    description: descriptionOf(key),
    scheme,
    ...(requestedAddress === undefined ? {} : { requested: requestedAddress }),
    healthPort,
    affinity: sessionAffinity === "ClientIP" ? "CLIENT_IP" : "NONE",
    globalAccess: globalAccess(annotations[globalAccessAnnotation], scheme),
    groups: groupsOf(exposure.targets, settings),
    rules: protocols.map((protocol) => {
      const numbers = numbersOf(protocol);
      return {
        name: ruleNames(name)[protocol === "TCP" ? 0 : 1],
        protocol,
        ports: numbers.length > mostRulePorts ? [] : numbers,
      };
    }),
    firewalls: settings.firewalls
      ? [
          {
            name,
            sources: sourceRanges.length > 0 ? sourceRanges : ["0.0.0.0/0"],
            tags,
            allowed: protocols.map((protocol) => ({ protocol: protocol.toLowerCase(), ports: numbersOf(protocol) })),
            toAddress: true,
          },
          {
            name: `${name}-hc`,
            sources: probes[scheme],
            tags,
            allowed: [{ protocol: "tcp", ports: [String(healthPort)] }],
            toAddress: false,
          },
        ]
      : [],
  };
}

export function schemeOf(annotation: string | undefined, otherwise: Scheme): Scheme {
  if (annotation === undefined) return otherwise;
  if (annotation === "Internal") return "INTERNAL";
  if (annotation === "External") return "EXTERNAL";
  const found = JSON.stringify(annotation.slice(0, 40));
  throw refused(`annotation ${typeAnnotation}: Internal or External is needed, not ${found}`);
}

export function globalAccess(annotation: string | undefined, scheme: Scheme): boolean {
  if (annotation === undefined || annotation === "false") return false;
  if (annotation !== "true") throw refused(`annotation ${globalAccessAnnotation}: true or false is needed`);
  if (scheme === "EXTERNAL") throw refused(`annotation ${globalAccessAnnotation} is only for internal load balancers`);
  return true;
}

/** One group a zone, also where a zone has but one machine. */
export function groupsOf(targets: readonly ExposureTarget[], { zone: otherwise }: GceSettings): readonly Group[] {
  const zones = new Map<string, Endpoint[]>();
  for (const { node, addresses, providerId = "" } of targets) {
    // gce://PROJECT/ZONE/INSTANCE
    const [, zone = otherwise, instance = node] = /^gce:\/\/[^/]+\/([a-z0-9-]+)\/([a-z0-9-]+)$/.exec(providerId) ?? [];
    const [address] = addresses;
    if (!zone || address === undefined) continue;
    zones.set(zone, [...(zones.get(zone) ?? []), { instance, address }]);
  }
  if (zones.size === 0 && targets.length > 0) {
    throw refused("no Node has a spec.providerID gce://PROJECT/ZONE/INSTANCE; give the provider config.zone");
  }
  return [...zones]
    .map(([zone, endpoints]) => ({ zone, endpoints: endpoints.sort(byInstance) }))
    .sort((a, b) => (a.zone < b.zone ? -1 : 1));
}

export const byInstance = (a: Endpoint, b: Endpoint): number =>
  a.instance < b.instance ? -1 : a.instance > b.instance ? 1 : 0;
