import { isDeepStrictEqual } from "node:util";
import { ProviderFailure, type ExposureKey, type ProviderStep } from "../provider/contract.ts";
import type { CattleVersion } from "./cattle.ts";
import { linkOf, type Desired, type Target, type WantedCertificate } from "./desired.ts";
import type { Balancer, Certificate } from "./model.ts";

/** Rules as both sides can be compared: `rule -> Service`, in order where Rancher is told an order. */
export type RuleLine = string;

/** What exists in Rancher for an Ingress. */
export interface Observed {
  readonly key: ExposureKey;
  readonly version: CattleVersion;
  readonly balancer?: Balancer;
  /** What its rules say; of v1 its service links. */
  readonly lines: readonly RuleLine[];
  /** Certificates that were made for it. */
  readonly certificates: readonly Certificate[];
  /** Names of the certificates that it has; "" first: none is the default. */
  readonly certificateNames: readonly string[];
}

export type RancherStep =
  | { readonly do: "create" | "adopt" | "rules" | "rescale"; readonly desired: Desired }
  | { readonly do: "certificate"; readonly key: ExposureKey; readonly wanted: WantedCertificate }
  | { readonly do: "activate" | "wait" | "remove"; readonly key: ExposureKey; readonly id: string }
  | { readonly do: "publish"; readonly key: ExposureKey; readonly id: string }
  | { readonly do: "drop"; readonly key: ExposureKey; readonly id: string };

const step = (summary: string, input: RancherStep): ProviderStep => ({ summary, input });

/** How a Service is named where both sides are compared: by UID in v2-beta; v1 knows only names. */
export const targetText = ({ namespace, service, uid }: Target, version: CattleVersion): string =>
  version === "v1" ? `${namespace}/${service}` : uid;

/** What the rules of `desired` are when Rancher has them. */
export function linesOf({ rules, ports }: Desired, version: CattleVersion): readonly RuleLine[] {
  const isOnlyPort = ports.length === 1;
  if (version === "v1") {
    return rules.map((rule) => `${linkOf(rule, isOnlyPort)} -> ${targetText(rule.target, version)}`).sort();
  }
  return rules.map(({ sourcePort, protocol, hostname, path, targetPort, target }) =>
    ruleLine({ sourcePort, protocol, hostname, path, targetPort }, targetText(target, version)),
  );
}

export const ruleLine = (
  rule: { sourcePort: number; protocol: string; hostname: string; path: string; targetPort: number },
  target: string,
): RuleLine => `${rule.protocol} ${rule.hostname}:${rule.sourcePort}${rule.path}=${rule.targetPort} -> ${target}`;

const gone = new Set(["removing", "removed", "purging", "purged"]);

/** Pure. */
export function planRancher(desired: Desired, observed: Observed | undefined): readonly ProviderStep[] {
  const { key, name } = desired;
  if (!observed?.balancer) return [step(`create load balancer ${name}`, { do: "create", desired })];
  const { balancer, version } = observed;
  const { id } = balancer;
  if (gone.has(balancer.state)) return [step(`wait until ${name} is gone`, { do: "wait", key, id })];
  if (balancer.transitioning === "error" && balancer.actions.includes("activate")) {
    return [step(`activate load balancer ${name} again`, { do: "activate", key, id })];
  }
  if (balancer.transitioning === "error") {
    throw new ProviderFailure(
      "Broken",
      `load balancer ${name} is ${balancer.state}: ${balancer.message.slice(0, 300)}`,
    );
  }
  if (balancer.transitioning === "yes")
    return [step(`wait while ${name} is ${balancer.state}`, { do: "wait", key, id })];
  if (!balancer.owner) return [step(`take over load balancer ${name}`, { do: "adopt", desired })];
  const ports = [...desired.ports].sort((a, b) => a - b);
  if (!isDeepStrictEqual(ports, balancer.ports) || !sameScheduling(desired.labels, balancer.labels)) {
    // Rancher changes neither of a load balancer that exists.
    return [step(`remove load balancer ${name}, to be made with other ports or labels`, { do: "remove", key, id })];
  }
  if (balancer.actions.includes("activate"))
    return [step(`activate load balancer ${name}`, { do: "activate", key, id })];
  const steps: ProviderStep[] = [];
  for (const wanted of desired.certificates) {
    const found = observed.certificates.find((one) => one.name === wanted.name);
    if (wanted.pair && found?.certificate.trim() !== wanted.pair.certificate.trim()) {
      steps.push(step(`upload certificate ${wanted.name}`, { do: "certificate", key, wanted }));
    }
  }
  if (desired.scale !== undefined && desired.scale !== balancer.scale) {
    steps.push(step(`scale load balancer ${name} to ${desired.scale}`, { do: "rescale", desired }));
  }
  if (!sameConfig(desired, observed, balancer, version)) {
    const words = version === "v1" ? "set service links" : "set port rules";
    steps.push(step(`${words} of load balancer ${name}`, { do: "rules", desired }));
  }
  const kept = new Set(desired.certificates.map((one) => one.name));
  for (const one of observed.certificates.filter(({ name: of }) => !kept.has(of))) {
    steps.push(step(`remove certificate ${one.name}`, { do: "drop", key, id: one.id }));
  }
  if (steps.length === 0 && balancer.addresses.length === 0) {
    return [step(`wait until ${name} has an address`, { do: "publish", key, id })];
  }
  return steps;
}

function sameConfig(desired: Desired, observed: Observed, balancer: Balancer, version: CattleVersion): boolean {
  const names = desired.certificates.map(({ name }) => name);
  return (
    isDeepStrictEqual(linesOf(desired, version), observed.lines) &&
    (version === "v1" || desired.config === balancer.config) &&
    isDeepStrictEqual(desired.stickiness, balancer.stickiness) &&
    isDeepStrictEqual([names[0] ?? "", ...names.slice(1).sort()], observed.certificateNames)
  );
}

function sameScheduling(wanted: Readonly<Record<string, string>>, found: Readonly<Record<string, string>>): boolean {
  const scheduling = (labels: Readonly<Record<string, string>>) =>
    Object.entries(labels)
      .filter(([name]) => name.startsWith("io.rancher.scheduler."))
      .sort(([a], [b]) => (a < b ? -1 : 1));
  return isDeepStrictEqual(scheduling(wanted), scheduling(found));
}

/** Pure. */
export function planRancherRemoval({ key, balancer, certificates }: Observed): readonly ProviderStep[] {
  if (balancer && gone.has(balancer.state)) {
    return [step(`wait until ${balancer.name} is gone`, { do: "wait", key, id: balancer.id })];
  }
  if (balancer) return [step(`remove load balancer ${balancer.name}`, { do: "remove", key, id: balancer.id })];
  return certificates.map(({ id, name }) => step(`remove certificate ${name}`, { do: "drop", key, id }));
}
