import type { ExposureKey } from "../provider/contract.ts";
import { numberIn, textIn, type Shape } from "../provider/shape.ts";
import type { CattleVersion } from "./cattle.ts";
import type { Stickiness } from "./annotations.ts";

/** Where a rule of Rancher's leads: its own id of the Service. */
export interface FoundRule {
  readonly sourcePort: number;
  readonly protocol: string;
  readonly hostname: string;
  readonly path: string;
  readonly serviceId: string;
  readonly targetPort: number;
  /** Lower ones are tried first; absent: Rancher orders them. */
  readonly priority?: number;
}

/** A load balancer service of Rancher. */
export interface Balancer {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  /** yes, no or error. */
  readonly transitioning: string;
  readonly message: string;
  readonly actions: readonly string[];
  /** Undefined: nobody has said whose it is. */
  readonly owner?: ExposureKey;
  readonly externalId: string;
  readonly ports: readonly number[];
  readonly labels: Readonly<Record<string, string>>;
  readonly scale: number;
  readonly config: string;
  readonly stickiness?: Stickiness;
  readonly defaultCertificateId: string;
  readonly certificateIds: readonly string[];
  /** v2-beta. */
  readonly rules: readonly FoundRule[];
  readonly addresses: readonly string[];
}

export interface Certificate {
  readonly id: string;
  readonly name: string;
  /** PEM, without the key, which Rancher tells nobody. */
  readonly certificate: string;
  readonly description: string;
}

const ownerField = "fairlead";

/** What says in a load balancer's metadata whose it is. */
export const ownerMetadata = (key: ExposureKey): object => ({ [ownerField]: { ...key } });

/** What says so in a certificate's description. */
export const ownerText = ({ cluster, namespace, name, uid }: ExposureKey): string =>
  `fairlead ${JSON.stringify([cluster, namespace, name, uid])}`;

export function ownerInText(text: string): ExposureKey | undefined {
  if (!text.startsWith("fairlead [")) return undefined;
  try {
    const [cluster, namespace, name, uid] = JSON.parse(text.slice("fairlead ".length)) as unknown[];
    const all = [cluster, namespace, name, uid].map((one) => (typeof one === "string" ? one : ""));
    return { cluster: all[0] ?? "", namespace: all[1] ?? "", name: all[2] ?? "", uid: all[3] ?? "" };
  } catch {
    return undefined;
  }
}

const listIn = (one: Shape): readonly Shape[] => (one.isAbsent() ? [] : one.list());

export function readBalancer(one: Shape, version: CattleVersion): Balancer {
  const launch = one.at("launchConfig");
  const ports = launch.isAbsent() ? [] : listIn(launch.at("ports"));
  const labels = launch.isAbsent() || launch.at("labels").isAbsent() ? [] : launch.at("labels").entries();
  // v1 has on the service itself what v2-beta has in lbConfig.
  const lb = one.at("lbConfig").isAbsent() ? one : one.at("lbConfig");
  const stickiness = version === "v1" ? one.at("loadBalancerConfig") : lb;
  const sticky = stickiness.isAbsent() ? undefined : readStickiness(stickiness, version);
  const metadata = one.at("metadata");
  const owner = metadata.isAbsent() || metadata.at(ownerField).isAbsent() ? undefined : metadata.at(ownerField);
  const text = (field: Shape) => textIn(field) ?? "";
  return {
    id: one.at("id").text(),
    name: one.at("name").text(),
    state: one.at("state").text(),
    transitioning: textIn(one.at("transitioning")) ?? "no",
    message: text(one.at("transitioningMessage")),
    actions: one.at("actions").isAbsent()
      ? []
      : one
          .at("actions")
          .entries()
          .map(([name]) => name)
          .sort(),
    ...(owner
      ? {
          owner: {
            cluster: owner.at("cluster").text(),
            namespace: owner.at("namespace").text(),
            name: owner.at("name").text(),
            uid: owner.at("uid").text(),
          },
        }
      : {}),
    externalId: text(one.at("externalId")),
    ports: ports.map((port) => Number.parseInt(port.text(), 10)).sort((a, b) => a - b),
    labels: Object.fromEntries(labels.map(([name, value]) => [name, value.text()])),
    scale: numberIn(one.at("scale")) ?? 1,
    config: version === "v1" ? "" : text(lb.at("config")),
    ...(sticky ? { stickiness: sticky } : {}),
    defaultCertificateId: text(lb.at("defaultCertificateId")),
    certificateIds: listIn(lb.at("certificateIds"))
      .map((id) => id.text())
      .sort(),
    rules: version === "v1" ? [] : listIn(lb.at("portRules")).map(readRule),
    addresses: addressesIn(one),
  };
}

function readRule(rule: Shape): FoundRule {
  const priority = numberIn(rule.at("priority"));
  return {
    sourcePort: rule.at("sourcePort").number(),
    protocol: textIn(rule.at("protocol")) ?? "http",
    hostname: textIn(rule.at("hostname")) ?? "",
    path: textIn(rule.at("path")) ?? "",
    serviceId: textIn(rule.at("serviceId")) ?? "",
    targetPort: numberIn(rule.at("targetPort")) ?? 0,
    ...(priority === undefined ? {} : { priority }),
  };
}

function readStickiness(lb: Shape, version: CattleVersion): Stickiness | undefined {
  const policy = lb.at(version === "v1" ? "lbCookieStickinessPolicy" : "stickinessPolicy");
  if (policy.isAbsent()) return undefined;
  const [name, cookie, domain, mode] = ["name", "cookie", "domain", "mode"].map((one) => textIn(policy.at(one)) ?? "");
  const [indirect, nocache, postonly] = ["indirect", "nocache", "postonly"].map((one) => policy.at(one).value === true);
  return {
    name: name ?? "",
    cookie: cookie ?? "",
    domain: domain ?? "",
    mode: mode || "insert",
    indirect: indirect ?? false,
    nocache: nocache ?? false,
    postonly: postonly ?? false,
  };
}

/** Addresses of the hosts that a load balancer is on, each once. */
function addressesIn(one: Shape): readonly string[] {
  const found = listIn(one.at("publicEndpoints")).flatMap((point) => textIn(point.at("ipAddress")) ?? []);
  return [...new Set(found)].sort();
}

export const readCertificate = (one: Shape): Certificate => ({
  id: one.at("id").text(),
  name: textIn(one.at("name")) ?? "",
  certificate: textIn(one.at("cert")) ?? "",
  description: textIn(one.at("description")) ?? "",
});
