import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { ProviderFailure, type Exposure, type ExposureKey, type HttpBackend } from "../provider/contract.ts";
import { frontends, readStickiness, stickinessName, whole, type Stickiness } from "./annotations.ts";

const scheduler = "io.rancher.scheduler.";
/** A Service of the cluster as Rancher knows it. */
export interface Target {
  readonly namespace: string;
  readonly service: string;
  readonly uid: string;
}

/** What `portRules` and `setservicelinks` both say. */
export interface Rule {
  readonly sourcePort: number;
  readonly protocol: "http" | "https";
  readonly hostname: string;
  readonly path: string;
  readonly target: Target;
  readonly targetPort: number;
}

export interface WantedCertificate {
  /** Its name in Rancher. */
  readonly name: string;
  /** Absent: one that is in Rancher already. */
  readonly pair?: { readonly certificate: string; readonly key: string };
}

/** An Ingress as Rancher has it. */
export interface Desired {
  readonly key: ExposureKey;
  readonly name: string;
  /** Ports that its hosts open. */
  readonly ports: readonly number[];
  readonly labels: Readonly<Record<string, string>>;
  /** Absent: Rancher's own. */
  readonly scale?: number;
  /** Sections of HAProxy's configuration. */
  readonly config: string;
  readonly stickiness?: Stickiness;
  /** In the order in which they are tried. */
  readonly rules: readonly Rule[];
  /** The first is the one for names that have none. */
  readonly certificates: readonly WantedCertificate[];
}

const mostName = 63;
/** Rancher asks its load balancers there whether they are well, and takes no rule for it. */
const healthPort = 42;

/** `namespace-separator-name`, as lb-controller has it; what is longer than Rancher's names is cut and gets a hash. */
export function balancerName({ namespace, name }: ExposureKey, separator: string): string {
  const whole = `${namespace}-${separator}-${name}`;
  if (whole.length <= mostName && /^[a-z0-9-]+$/.test(whole)) return whole;
  const hash = createHash("sha256").update(`${namespace}/${name}`).digest("hex").slice(0, 12);
  return `${whole.replaceAll(/[^a-z0-9-]/g, "-").slice(0, mostName - 13)}-${hash}`;
}

/** What the first lb-controllers named the same; undefined: they could not. */
export function formerName({ namespace, name }: ExposureKey): string | undefined {
  const whole = `${namespace}-${name}`;
  return whole.length <= mostName && /^[a-z0-9-]+$/.test(whole) ? whole : undefined;
}

/** What Rancher's pages show of a load balancer beside its name. */
export const descriptionOf = ({ cluster, namespace, name }: ExposureKey): string =>
  `Ingress ${namespace}/${name} of the cluster ${cluster}`;

/** Pure. Throws ProviderFailure Refused for an annotation that cannot be read. */
export function desiredOf({ key, http, annotations }: Exposure, separator: string): Desired {
  const name = balancerName(key, separator);
  const ports = frontends(annotations, (http?.certificates.length ?? 0) > 0);
  if (ports.some(({ port }) => port === healthPort))
    throw new ProviderFailure(
      "Refused",
      `annotations http.port and https.port: Rancher keeps ${healthPort} for itself`,
    );
  const certificates = (http?.certificates ?? []).map(({ name: secret, pair }) =>
    pair ? { name: certificateName(name, secret), pair } : { name: secret },
  );
  const rules = ports.flatMap(({ port, protocol }) => {
    const rule = (hostname: string, path: string, backend: HttpBackend): Rule => ({
      sourcePort: port,
      protocol,
      hostname,
      // Without a path means the same, and is how lb-controller says it.
      path: path === "/" ? "" : path,
      target: { namespace: backend.namespace, service: backend.service, uid: backend.uid },
      targetPort: backend.targetPort,
    });
    const all = (http?.rules ?? []).map(({ host, path, backend }) => rule(host, path, backend));
    return http?.fallback ? [...all, rule("", "", http.fallback)] : all;
  });
  const scale = annotations["scale"] === undefined ? undefined : whole("scale", annotations["scale"], 1, 1_000);
  const stickiness = annotations[stickinessName];
  return {
    key,
    name,
    ports: ports.map(({ port }) => port),
    labels: labelsOf(annotations),
    ...(scale === undefined ? {} : { scale }),
    config: annotations["config"] ?? "",
    ...(stickiness ? { stickiness: readStickiness(stickiness) } : {}),
    rules: withoutDoubles(rules),
    certificates: certificates.filter(
      ({ name: one }, i) => certificates.findIndex((other) => other.name === one) === i,
    ),
  };
}

const certificateName = (balancer: string, secret: string) => {
  const hash = createHash("sha256").update(secret).digest("hex").slice(0, 8);
  return `${balancer.slice(0, 40)}-${hash}-${secret.slice(0, 100)}`;
};

/** Scheduling labels have a colon where annotations, which cannot, have a point. */
function labelsOf(annotations: Readonly<Record<string, string>>): Record<string, string> {
  const labels = Object.entries(annotations).flatMap(([name, value]) => {
    if (!name.startsWith("io.rancher.") || name.startsWith(stickinessName)) return [];
    if (!name.startsWith(scheduler)) return [[name, value] as const];
    return [[`${scheduler}${name.slice(scheduler.length).replace(".", ":")}`, value] as const];
  });
  return Object.fromEntries(labels);
}

/** The first of those that match the same counts. */
function withoutDoubles(rules: readonly Rule[]): readonly Rule[] {
  const seen = new Set<string>();
  return rules.filter(({ sourcePort, hostname, path }) => {
    const match = `${sourcePort} ${hostname} ${path}`;
    return !seen.has(match) && Boolean(seen.add(match));
  });
}

export const sameLabels = (a: object, b: object): boolean => isDeepStrictEqual(a, b);

/** A rule in the words of `setservicelinks`: `[[[domain:][source port][/path]=][target port]]`. */
export function linkOf({ sourcePort, hostname, path, targetPort }: Rule, isOnlyPort: boolean): string {
  if (isOnlyPort && (hostname || path)) return `${hostname}${path}=${targetPort}`;
  return `${hostname ? `${hostname}:` : ""}${sourcePort}${path}=${targetPort}`;
}
