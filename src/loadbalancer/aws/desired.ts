import { createHash } from "node:crypto";
import { ProviderFailure, type Exposure, type ExposureKey, type HttpBackend } from "../provider/contract.ts";

/** Beginnings of annotations that are read, as AWS's own controller has them. */
export const annotationPrefixes = [
  "service.beta.kubernetes.io/aws-load-balancer-scheme",
  "service.beta.kubernetes.io/aws-load-balancer-subnets",
  "alb.ingress.kubernetes.io/certificate-arn",
  "alb.ingress.kubernetes.io/scheme",
  "alb.ingress.kubernetes.io/subnets",
] as const;

/** Those of them that a Classic Load Balancer has too. */
export const classicAnnotationPrefixes = annotationPrefixes.slice(0, 2);

export interface AwsSettings {
  readonly vpc: string;
  readonly subnets: readonly string[];
  readonly securityGroups: readonly string[];
  readonly scheme: "internal" | "internet-facing";
}

export interface Target {
  readonly address: string;
  readonly port: number;
}

/** Fields that cannot change later are part of the name. */
export interface TargetGroup {
  readonly name: string;
  readonly protocol: "TCP" | "UDP" | "HTTP";
  readonly health: { readonly protocol: "TCP" | "HTTP"; readonly port: string; readonly path: string };
  readonly sticky: boolean;
  readonly targets: readonly Target[];
}

export interface Rule {
  /** "": any. */
  readonly host: string;
  /** Patterns, any of them; none: any path. */
  readonly paths: readonly string[];
  readonly group: string;
}

export interface Listener {
  readonly protocol: "TCP" | "UDP" | "HTTP" | "HTTPS";
  readonly port: number;
  /** The first is the one for names that have none. */
  readonly certificates: readonly string[];
  /** Name of a target group; "": 404. */
  readonly fallback: string;
  /** In the order in which they are tried. */
  readonly rules: readonly Rule[];
}

/** A Service as a Network Load Balancer, or an Ingress as an Application Load Balancer. */
export interface Desired {
  readonly key: ExposureKey;
  readonly name: string;
  readonly type: "network" | "application";
  readonly scheme: string;
  readonly subnets: readonly string[];
  readonly securityGroups: readonly string[];
  readonly vpc: string;
  readonly groups: readonly TargetGroup[];
  readonly listeners: readonly Listener[];
}

const digest = (text: string, length: number) => createHash("sha256").update(text).digest("hex").slice(0, length);

/** Names of AWS hold 32 letters, digits and hyphens. */
export const balancerName = ({ cluster, uid }: ExposureKey): string => `fl-${digest(`${cluster}/${uid}`, 20)}`;
const groupName = (balancer: string, text: string) => `${balancer.slice(0, 17)}-${digest(text, 12)}`;

const refused = (message: string) => new ProviderFailure("Refused", message);
const listOf = (text: string) =>
  text
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);

const prefixOf = ({ http }: Exposure) =>
  http ? "alb.ingress.kubernetes.io/" : "service.beta.kubernetes.io/aws-load-balancer-";

/** Throws ProviderFailure Refused. */
export function schemeOf(exposure: Exposure, settings: AwsSettings): AwsSettings["scheme"] {
  const name = `${prefixOf(exposure)}scheme`;
  const scheme = exposure.annotations[name] ?? settings.scheme;
  if (scheme === "internal" || scheme === "internet-facing") return scheme;
  const given = JSON.stringify(scheme.slice(0, 40));
  throw refused(`annotation ${name}: internal or internet-facing is needed, not ${given}`);
}

/** Sorted. Throws ProviderFailure Refused. */
export function subnetsOf(exposure: Exposure, settings: AwsSettings): readonly string[] {
  const name = `${prefixOf(exposure)}subnets`;
  const named = exposure.annotations[name];
  const subnets = named === undefined ? settings.subnets : listOf(named);
  const bad = subnets.find((one) => !/^subnet-[0-9a-z]{1,40}$/.test(one));
  if (bad === undefined) return [...subnets].sort();
  throw refused(`annotation ${name}: ${JSON.stringify(bad.slice(0, 40))} is no id of a subnet`);
}

/** Pure. Throws ProviderFailure Refused. */
export function desiredOf(exposure: Exposure, settings: AwsSettings): Desired {
  const { key, http } = exposure;
  const name = balancerName(key);
  const scheme = schemeOf(exposure, settings);
  const base = { key, name, scheme, vpc: settings.vpc, subnets: subnetsOf(exposure, settings) };
  if (!http) return { ...base, type: "network", securityGroups: [], ...network(exposure, name) };
  return {
    ...base,
    type: "application",
    securityGroups: [...settings.securityGroups].sort(),
    ...application(exposure, name),
  };
}

function network({ ports, targets, sessionAffinity, healthCheckNodePort }: Exposure, name: string) {
  const doubled = ports.find(({ port, protocol }) =>
    ports.some((one) => one.port === port && one.protocol !== protocol),
  );
  if (doubled)
    throw refused(`spec.ports: TCP and UDP on one port (${doubled.port}) are not supported; use two Services`);
  const addresses = targets.flatMap((one) => one.addresses.slice(0, 1));
  const groups = ports.map(({ port, protocol, nodePort = 0 }): TargetGroup => ({
    name: groupName(name, `${protocol} ${port}`),
    protocol: protocol === "UDP" ? "UDP" : "TCP",
    health: healthCheckNodePort
      ? { protocol: "HTTP", port: String(healthCheckNodePort), path: "/healthz" }
      : { protocol: "TCP", port: "traffic-port", path: "" },
    sticky: sessionAffinity === "ClientIP",
    targets: targetsAt(addresses, nodePort),
  }));
  const listeners = ports.map(({ port, protocol }, i): Listener => ({
    protocol: protocol === "UDP" ? "UDP" : "TCP",
    port,
    certificates: [],
    fallback: groups[i]?.name ?? "",
    rules: [],
  }));
  return { groups, listeners: listeners.sort((a, b) => a.port - b.port) };
}

function application({ http, annotations, targets, ports }: Exposure, name: string) {
  const certificates = listOf(annotations["alb.ingress.kubernetes.io/certificate-arn"] ?? "");
  if ((http?.certificates.length ?? 0) > 0 && certificates.length === 0) {
    const remedy = "give the annotation alb.ingress.kubernetes.io/certificate-arn, a certificate of ACM";
    throw refused(`spec.tls: Secrets are not taken to AWS; ${remedy}`);
  }
  const wrong = certificates.find((one) => !/^arn:[\w-]{1,20}:(acm|iam):[\w:/.-]{1,200}$/.test(one));
  if (wrong !== undefined)
    throw refused(
      `annotation alb.ingress.kubernetes.io/certificate-arn: ${JSON.stringify(wrong.slice(0, 60))} is no ARN`,
    );
  if (certificates.length > 1)
    throw refused("annotation alb.ingress.kubernetes.io/certificate-arn: one certificate is supported");
  const addresses = targets.flatMap((one) => one.addresses.slice(0, 1));
  const groups = new Map<string, TargetGroup>();
  const groupOf = ({ service, namespace, port, nodePort }: HttpBackend): string => {
    if (nodePort === undefined)
      throw refused(`Service ${namespace}/${service} has no node port; make it of type NodePort`);
    const found = groupName(name, `${namespace}/${service}:${port}`);
    const health = { protocol: "HTTP", port: "traffic-port", path: "/" } as const;
    groups.set(found, {
      name: found,
      protocol: "HTTP",
      health,
      sticky: false,
      targets: targetsAt(addresses, nodePort),
    });
    return found;
  };
  const rules = (http?.rules ?? []).map(({ host, path, match, backend }): Rule => ({
    host,
    paths: pathsOf(path, match),
    group: groupOf(backend),
  }));
  const fallback = http?.fallback ? groupOf(http.fallback) : "";
  const listeners = [
    ...ports
      .filter(({ port }) => port === 80)
      .map(({ port }) => ({ protocol: "HTTP" as const, port, certificates: [] })),
    ...(certificates.length > 0 ? [{ protocol: "HTTPS" as const, port: 443, certificates }] : []),
  ].map((one): Listener => ({ ...one, fallback, rules }));
  return { groups: [...groups.values()].sort((a, b) => (a.name < b.name ? -1 : 1)), listeners };
}

/** Prefixes match by element: `/shop` is `/shop` and all under it. */
function pathsOf(path: string, match: "Exact" | "Prefix"): readonly string[] {
  if (/[*?]/.test(path))
    throw refused(`spec.rules: the path ${path.slice(0, 80)} has * or ?, which AWS reads as patterns`);
  if (path.length > 120) throw refused("spec.rules: AWS takes paths of at most 128 characters");
  if (match === "Exact") return [path];
  const bare = path.replace(/\/+$/, "");
  return bare === "" ? [] : [bare, `${bare}/*`];
}

const targetsAt = (addresses: readonly string[], port: number): readonly Target[] =>
  [...new Set(addresses)].sort().map((address) => ({ address, port }));
