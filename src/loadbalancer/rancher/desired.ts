import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { ProviderFailure, type Exposure, type ExposureKey, type HttpBackend } from "../provider/contract.ts";

/** Beginnings of the annotations of lb-controller. */
export const annotationPrefixes = ["http.port", "https.port", "allow.http", "scale", "config", "io.rancher."] as const;

const scheduler = "io.rancher.scheduler.";
const stickinessName = "io.rancher.stickiness.policy";

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

export interface Stickiness {
  readonly name: string;
  readonly cookie: string;
  readonly domain: string;
  readonly mode: string;
  readonly indirect: boolean;
  readonly nocache: boolean;
  readonly postonly: boolean;
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

/** `namespace-separator-name`, as lb-controller has it; what is longer than Rancher's names is cut and gets a hash. */
export function balancerName({ namespace, name }: ExposureKey, separator: string): string {
  const whole = `${namespace}-${separator}-${name}`;
  if (whole.length <= mostName && /^[a-z0-9-]+$/.test(whole)) return whole;
  const hash = createHash("sha256").update(`${namespace}/${name}`).digest("hex").slice(0, 12);
  return `${whole.replaceAll(/[^a-z0-9-]/g, "-").slice(0, mostName - 13)}-${hash}`;
}

const refused = (message: string) => new ProviderFailure("Refused", message);

/** Pure. Throws ProviderFailure Refused for an annotation that cannot be read. */
export function desiredOf({ key, http, annotations }: Exposure, separator: string): Desired {
  const name = balancerName(key, separator);
  const ports = frontends(annotations, (http?.certificates.length ?? 0) > 0);
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

function frontends(annotations: Readonly<Record<string, string>>, tls: boolean) {
  const allow = annotations["allow.http"]?.trim().toLowerCase();
  if (allow !== undefined && !["true", "false", "t", "f", "1", "0"].includes(allow)) {
    throw refused(`annotation allow.http: true or false is needed, not ${JSON.stringify(allow.slice(0, 40))}`);
  }
  const port = (name: string, otherwise: number) => {
    const text = annotations[name];
    return text === undefined ? otherwise : whole(name, text, 1, 65_535);
  };
  const all = [
    ...(allow === undefined || ["true", "t", "1"].includes(allow)
      ? [{ port: port("http.port", 80), protocol: "http" as const }]
      : []),
    ...(tls ? [{ port: port("https.port", 443), protocol: "https" as const }] : []),
  ];
  if (all.length === 0) throw refused("annotation allow.http: without HTTP a certificate is needed; add spec.tls");
  if (all[0]?.port === all[1]?.port)
    throw refused("annotations http.port and https.port: two different ports are needed");
  return all;
}

function whole(name: string, text: string, least: number, most: number): number {
  const number = /^\d{1,5}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw refused(
    `annotation ${name}: a whole number from ${least} to ${most} is needed, not ${JSON.stringify(text.slice(0, 40))}`,
  );
}

/** Scheduling labels have a colon where annotations, which cannot, have a point. */
function labelsOf(annotations: Readonly<Record<string, string>>): Record<string, string> {
  const labels = Object.entries(annotations).flatMap(([name, value]) => {
    if (!name.startsWith("io.rancher.") || name.startsWith(stickinessName)) return [];
    if (!name.startsWith(scheduler)) return [[name, value] as const];
    return [[`${scheduler}${name.slice(scheduler.length).replace(".", ":")}`, value] as const];
  });
  return Object.fromEntries(labels);
}

/** Lines of `name: value`, as lb-controller reads them. */
function readStickiness(text: string): Stickiness {
  const texts = { name: "", cookie: "", domain: "", mode: "" };
  const flags = { indirect: false, nocache: false, postonly: false };
  for (const line of text.split("\n").map((one) => one.trim())) {
    if (line === "") continue;
    const at = line.indexOf(":");
    const [name, value] = [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    if (at < 0) throw refused(`annotation ${stickinessName}: ${JSON.stringify(line.slice(0, 40))} is no "name: value"`);
    if (Object.hasOwn(texts, name)) texts[name as keyof typeof texts] = value;
    else if (Object.hasOwn(flags, name)) flags[name as keyof typeof flags] = value.toLowerCase() === "true";
    else throw refused(`annotation ${stickinessName}: ${JSON.stringify(name.slice(0, 40))} is unknown`);
  }
  if (!["", "insert", "rewrite", "prefix"].includes(texts.mode)) {
    throw refused(`annotation ${stickinessName}: mode: insert, rewrite or prefix is needed`);
  }
  return { ...texts, mode: texts.mode || "insert", ...flags };
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
