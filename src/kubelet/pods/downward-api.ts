import type { Container, Pod, ResourceFieldSelector } from "../../kube/index.ts";
import { ConfigError } from "./config-error.ts";

/** What the downward API may tell beside the pod itself. */
export interface DownwardFacts {
  readonly pod: Pod;
  readonly podIPs: readonly string[];
  readonly hostIPs: readonly string[];
  /** Stand in for limits that are not set. */
  readonly allocatable: { readonly cpu: number; readonly memory: number; readonly ephemeralStorage: number };
}

/** The text a fieldPath stands for, as env and downwardAPI volumes use it. Throws `ConfigError`. */
export function fieldValue(path: string, { pod, podIPs, hostIPs }: DownwardFacts): string {
  const { metadata, spec } = pod;
  const subscript = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (subscript) return metadata[subscript[1] as "labels" | "annotations"]?.[subscript[2] ?? ""] ?? "";
  switch (path) {
    case "metadata.name":
      return metadata.name;
    case "metadata.namespace":
      return metadata.namespace ?? "";
    case "metadata.uid":
      return metadata.uid ?? "";
    case "metadata.labels":
      return quotedLines(metadata.labels);
    case "metadata.annotations":
      return quotedLines(metadata.annotations);
    case "spec.nodeName":
      return spec.nodeName ?? "";
    case "spec.serviceAccountName":
      return spec.serviceAccountName ?? "default";
    case "status.podIP":
      return podIPs[0] ?? "";
    case "status.podIPs":
      return podIPs.join(",");
    case "status.hostIP":
      return hostIPs[0] ?? "";
    case "status.hostIPs":
      return hostIPs.join(",");
    default:
      throw new ConfigError(`unsupported fieldPath: ${path}`);
  }
}

/** A container's request or limit in units of the divisor, rounded up. Throws `ConfigError`. */
export function resourceValue(ref: ResourceFieldSelector, of: Container, facts: DownwardFacts): string {
  const named = ref.containerName === undefined || ref.containerName === of.name;
  const all = [...(facts.pod.spec.initContainers ?? []), ...facts.pod.spec.containers];
  const container = named ? of : all.find((container) => container.name === ref.containerName);
  if (!container) throw new ConfigError(`container ${ref.containerName} not found`);
  const match = /^(limits|requests)\.(cpu|memory|ephemeral-storage)$/.exec(ref.resource);
  if (!match) throw new ConfigError(`unsupported container resource: ${ref.resource}`);
  const [, kind = "", name = ""] = match;
  const { limits = {}, requests = {} } = container.resources ?? {};
  const set = kind === "limits" ? limits[name] : (requests[name] ?? limits[name]);
  const { cpu, memory, ephemeralStorage } = facts.allocatable;
  const most = { cpu, memory, "ephemeral-storage": ephemeralStorage }[name] ?? 0;
  const value = set === undefined ? (kind === "limits" ? most : 0) : quantity(set);
  const divisor = quantity(ref.divisor ?? "1") || 1;
  // Quotients such as 0.1 / 0.001 must not be rounded up because of the last binary digit.
  return String(Math.ceil(Number((value / divisor).toPrecision(12))));
}

const suffixes: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A quantity such as `500m` or `1Gi` as a number. Throws `ConfigError`. */
export function quantity(text: string | number): number {
  const match = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)$/.exec(String(text));
  const factor = suffixes[match?.[2] ?? ""];
  if (!match || factor === undefined) throw new ConfigError(`"${text}" is not a quantity`);
  return Number(match[1]) * factor;
}

function quotedLines(map: Readonly<Record<string, string>> = {}): string {
  return Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join("\n");
}
