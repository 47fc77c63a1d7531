import { type LabelSelector, matchesLabels, type Pod, type TopologySpreadConstraint } from "../kube/index.ts";
import type { CountingFilter } from "./filters.ts";
import { nodeAdmits } from "./node-affinity.ts";
import type { NodeInfo } from "./node-info.ts";
import { hardTaintsOf, tolerates } from "./taints.ts";

/** A spread constraint, ready to be counted. */
export interface Spread {
  readonly topologyKey: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  /** True for the pods that are spread. */
  readonly counts: (pod: Pod) => boolean;
  /** 1 when the pod to be placed counts itself. */
  readonly self: number;
  readonly admits: (info: NodeInfo) => boolean;
}

export const domainOf = ({ node }: NodeInfo, key: string): string | undefined => node.metadata.labels?.[key];

/** The pod's own constraints that are hard (`DoNotSchedule`) or soft (`ScheduleAnyway`). KEP-895, KEP-3094, KEP-3243. */
export function spreadsOf(pod: Pod, whenUnsatisfiable: "DoNotSchedule" | "ScheduleAnyway"): Spread[] {
  return (pod.spec.topologySpreadConstraints ?? [])
    .filter((constraint) => constraint.whenUnsatisfiable === whenUnsatisfiable)
    .map((constraint) => spreadOf(pod, constraint));
}

function spreadOf(pod: Pod, constraint: TopologySpreadConstraint): Spread {
  const {
    topologyKey,
    maxSkew,
    minDomains = 1,
    nodeAffinityPolicy = "Honor",
    nodeTaintsPolicy = "Ignore",
  } = constraint;
  const selector = withLabelKeys(constraint.labelSelector, constraint.matchLabelKeys, pod);
  const { namespace, labels } = pod.metadata;
  return {
    topologyKey,
    maxSkew,
    minDomains,
    counts: (other) =>
      other.metadata.namespace === namespace &&
      !other.metadata.deletionTimestamp &&
      matchesLabels(selector, other.metadata.labels),
    self: matchesLabels(selector, labels) ? 1 : 0,
    admits: (info) =>
      (nodeAffinityPolicy !== "Honor" || nodeAdmits(pod, info.node)) &&
      (nodeTaintsPolicy !== "Honor" || hardTaintsOf(info.node).every((taint) => tolerates(pod, taint))),
  };
}

/** The selector with the pod's own values of `keys` added (`matchLabelKeys`). */
function withLabelKeys(
  selector: LabelSelector | undefined,
  keys: readonly string[] | undefined,
  pod: Pod,
): LabelSelector | undefined {
  const own = Object.entries(pod.metadata.labels ?? {}).filter(([key]) => keys?.includes(key));
  return selector && own.length > 0
    ? { ...selector, matchLabels: { ...selector.matchLabels, ...Object.fromEntries(own) } }
    : selector;
}

/** The domain in which a node's pods are counted. Only nodes that have the keys of all `spreads` make domains. */
function countedDomain(spread: Spread, spreads: readonly Spread[], info: NodeInfo): string | undefined {
  if (!spread.admits(info)) return undefined;
  if (spreads.some(({ topologyKey }) => domainOf(info, topologyKey) === undefined)) return undefined;
  return domainOf(info, spread.topologyKey);
}

/** How many pods each domain has. */
export function countDomains(
  spread: Spread,
  spreads: readonly Spread[],
  nodes: readonly NodeInfo[],
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const info of nodes) {
    const domain = countedDomain(spread, spreads, info);
    if (domain === undefined) continue;
    let count = counts.get(domain) ?? 0;
    for (const pod of info.pods.values()) if (spread.counts(pod)) count++;
    counts.set(domain, count);
  }
  return counts;
}

/** Keeps a pod off nodes where it would break a hard constraint. */
export function createSpreadFilter(pod: Pod, nodes: readonly NodeInfo[]): CountingFilter {
  const spreads = spreadsOf(pod, "DoNotSchedule");
  const counted = spreads.map((spread) => ({ spread, counts: countDomains(spread, spreads, nodes) }));
  const reason = "node(s) didn't match pod topology spread constraints";
  return {
    check(info) {
      for (const { spread, counts } of counted) {
        const domain = domainOf(info, spread.topologyKey);
        if (domain === undefined) return { reasons: [`${reason} (missing required label)`], curable: false };
        const least = counts.size < spread.minDomains || counts.size === 0 ? 0 : Math.min(...counts.values());
        const skew = (counts.get(domain) ?? 0) + spread.self - least;
        if (skew > spread.maxSkew) return { reasons: [reason], curable: true };
      }
      return undefined;
    },
    count(other, info, by) {
      for (const { spread, counts } of counted) {
        const domain = spread.counts(other) ? countedDomain(spread, spreads, info) : undefined;
        if (domain !== undefined) counts.set(domain, (counts.get(domain) ?? 0) + by);
      }
    },
  };
}
