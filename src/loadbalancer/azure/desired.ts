import { createHash } from "node:crypto";
import { ProviderFailure, type Exposure, type ExposureKey } from "../provider/contract.ts";

const begin = "service.beta.kubernetes.io/azure-load-balancer-";
/** Annotations that are read, as cloud-provider-azure has them. */
export const annotationNames = {
  internal: `${begin}internal`,
  subnet: `${begin}internal-subnet`,
  idle: `${begin}tcp-idle-timeout`,
} as const;

export interface AzureSettings {
  readonly subscription: string;
  readonly resourceGroup: string;
  readonly location: string;
  /** Name, or id where another resource group has it. */
  readonly virtualNetwork: string;
  /** Of addresses of internal load balancers: name in that network. */
  readonly subnet: string;
  /** Network security group of the nodes: name or id; "": nobody lets clients in here. */
  readonly securityGroup: string;
  readonly internal: boolean;
  /** Packets keep their address, so that nodes take them for the load balancer's; otherwise they come to node ports. */
  readonly floatingIp: boolean;
  readonly zones: readonly string[];
  /** Where each node says whether its Service proxy works, path /healthz. */
  readonly healthPort: number;
}

export interface Probe {
  readonly name: string;
  readonly protocol: "Http" | "Tcp";
  readonly port: number;
}

export interface Rule {
  readonly name: string;
  readonly protocol: "Tcp" | "Udp";
  readonly port: number;
  readonly backendPort: number;
  readonly probe: string;
  readonly distribution: "Default" | "SourceIP";
  readonly idleMinutes: number;
}

export interface SecurityRule {
  readonly name: string;
  readonly access: "Allow" | "Deny";
  readonly protocol: "Tcp" | "Udp";
  /** A service tag, or prefixes. */
  readonly sources: readonly string[];
  readonly ports: readonly string[];
  /** Empty: the load balancer's own address, which is known once there is one. */
  readonly destinations: readonly string[];
}

/** A Service's part of the cluster's load balancer. */
export interface Desired {
  readonly key: ExposureKey;
  /** Of all its parts, or what their names begin with. */
  readonly name: string;
  readonly internal: boolean;
  /** Id; "" for public ones. */
  readonly subnet: string;
  readonly requested?: string;
  readonly rules: readonly Rule[];
  readonly probes: readonly Probe[];
  /** Addresses of nodes, in order. */
  readonly backends: readonly string[];
  readonly security: readonly SecurityRule[];
}

const digest = (text: string, length = 20) => createHash("sha256").update(text).digest("hex").slice(0, length);
const refused = (message: string) => new ProviderFailure("Refused", message);
/** Where Azure's probes come from. */
const probeSource = "168.63.129.16/32";
const defaultIdle = 4;

export const partName = ({ cluster, uid }: ExposureKey): string => `fl-${digest(`${cluster}/${uid}`)}`;
/** Of a Service, and not of another one: names have one length. */
export const isPartOf = (name: string, part: string): boolean => part === name || part.startsWith(`${name}-`);
/** Node addresses of all Services are in one pool: a machine may be behind one public and one internal load balancer only. */
export const poolName = "fairlead";

const network = (settings: AzureSettings) =>
  `/subscriptions/${settings.subscription}/resourceGroups/${settings.resourceGroup}/providers/Microsoft.Network`;
const idIn = (settings: AzureSettings, kind: string, name: string) =>
  name.startsWith("/") ? name : `${network(settings)}/${kind}/${name}`;

/** Where things are. */
export function idsOf(settings: AzureSettings, cluster: string) {
  // Names hold 80 letters, digits, dots, hyphens and underscores.
  const word = /^[A-Za-z0-9][\w.-]{0,49}$/.test(cluster) ? cluster : digest(cluster);
  return {
    balancer: (internal: boolean) =>
      `${network(settings)}/loadBalancers/fairlead-${word}${internal ? "-internal" : ""}`,
    publicIps: `${network(settings)}/publicIPAddresses`,
    publicIp: (name: string) => `${network(settings)}/publicIPAddresses/${name}`,
    virtualNetwork: idIn(settings, "virtualNetworks", settings.virtualNetwork),
    securityGroup: settings.securityGroup && idIn(settings, "networkSecurityGroups", settings.securityGroup),
  };
}

/** Pure. Throws ProviderFailure Refused. */
export function desiredOf(exposure: Exposure, settings: AzureSettings): Desired {
  const { key, ports, targets, annotations, sessionAffinity, healthCheckNodePort, requestedAddress } = exposure;
  const name = partName(key);
  const internal = flagOf(annotations, annotationNames.internal, settings.internal);
  if (requestedAddress !== undefined && !internal) {
    throw refused("Azure chooses public addresses itself; remove the request, or make the load balancer internal");
  }
  const subnetName = annotations[annotationNames.subnet] ?? settings.subnet;
  if (internal && !/^[A-Za-z0-9][\w.-]{0,79}$/.test(subnetName)) {
    const found = JSON.stringify(subnetName.slice(0, 40));
    throw refused(`annotation ${annotationNames.subnet} or config.subnet: ${found} is no name of a subnet`);
  }
  const idleMinutes = idleOf(annotations[annotationNames.idle]);
  const rules: Rule[] = [];
  const probes = new Map<string, Probe>();
  for (const { protocol, port, nodePort } of ports) {
    if (!settings.floatingIp && nodePort === undefined)
      throw refused("spec.allocateLoadBalancerNodePorts: node ports are needed; set it to true, or config.floatingIp");
    const of = `${name}-${protocol.toLowerCase()}-${port}`;
    // A node port answers TCP by itself; with Local, or for the rest, the node tells.
    const isOwn = healthCheckNodePort === undefined && !settings.floatingIp && protocol === "TCP";
    const probe: Probe = isOwn
      ? { name: of, protocol: "Tcp", port: nodePort ?? 0 }
      : { name, protocol: "Http", port: healthCheckNodePort ?? settings.healthPort };
    probes.set(probe.name, probe);
    rules.push({
      name: of,
      protocol: protocol === "UDP" ? "Udp" : "Tcp",
      port,
      backendPort: settings.floatingIp ? port : (nodePort ?? 0),
      probe: probe.name,
      distribution: sessionAffinity === "ClientIP" ? "SourceIP" : "Default",
      idleMinutes: protocol === "UDP" ? defaultIdle : idleMinutes,
    });
  }
  const byName = <T extends { readonly name: string }>(a: T, b: T) => (a.name < b.name ? -1 : 1);
  const backends = [...new Set(targets.flatMap(({ addresses }) => addresses.slice(0, 1)))].sort();
  return {
    key,
    name,
    internal,
    subnet: internal ? `${idsOf(settings, key.cluster).virtualNetwork}/subnets/${subnetName}` : "",
    ...(requestedAddress === undefined ? {} : { requested: requestedAddress }),
    rules: rules.sort(byName),
    probes: [...probes.values()].sort(byName),
    backends,
    security: settings.securityGroup
      ? securityOf(exposure, { name, internal, backends, rules }, settings).sort(byName)
      : [],
  };
}

/** Who may come in. Without ranges, internal ones need no rule: Azure's own lets the virtual network in. */
function securityOf(
  { sourceRanges }: Exposure,
  { name, internal, backends, rules }: Pick<Desired, "name" | "internal" | "backends" | "rules">,
  { floatingIp }: AzureSettings,
): SecurityRule[] {
  if (internal && sourceRanges.length === 0) return [];
  return (["Tcp", "Udp"] as const).flatMap((protocol): SecurityRule[] => {
    const ports = rules
      .filter((one) => one.protocol === protocol)
      .map((one) => String(one.backendPort))
      .sort();
    if (ports.length === 0) return [];
    const base = { protocol, ports, destinations: floatingIp ? [] : backends };
    const of = `${name}-${protocol.toLowerCase()}`;
    if (sourceRanges.length === 0) return [{ ...base, name: of, access: "Allow", sources: ["Internet"] }];
    const sources = [...sourceRanges, probeSource].sort();
    return [
      { ...base, name: of, access: "Allow", sources },
      { ...base, name: `${of}-deny`, access: "Deny", sources: ["*"] },
    ];
  });
}

function flagOf(annotations: Exposure["annotations"], name: string, otherwise: boolean): boolean {
  const value = annotations[name];
  if (value === undefined) return otherwise;
  if (value === "true" || value === "false") return value === "true";
  throw refused(`annotation ${name}: true or false is needed, not ${JSON.stringify(value.slice(0, 40))}`);
}

function idleOf(value: string | undefined): number {
  if (value === undefined) return defaultIdle;
  const minutes = /^\d{1,3}$/.test(value) ? Number(value) : 0;
  if (minutes >= 4 && minutes <= 100) return minutes;
  throw refused(`annotation ${annotationNames.idle}: minutes from 4 to 100 are needed`);
}
