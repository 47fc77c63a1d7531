import { matchesLabels, type Pod, type PodAffinityTerm } from "../kube/index.ts";
import type { CountingFilter } from "./filters.ts";
import type { NodeInfo } from "./node-info.ts";
import type { NamespaceLabels } from "./surroundings.ts";
import { domainOf } from "./topology.ts";

/** True when `term`, of a pod `owner`, is about `other`. */
function concerns(term: PodAffinityTerm, owner: Pod, other: Pod, namespaceLabels: NamespaceLabels): boolean {
  const namespace = other.metadata.namespace ?? "";
  const named = term.namespaces ?? [];
  const inScope =
    named.length === 0 && term.namespaceSelector === undefined
      ? namespace === owner.metadata.namespace
      : named.includes(namespace) ||
        (term.namespaceSelector !== undefined &&
          matchesLabels(term.namespaceSelector, namespaceLabels(namespace) ?? {}));
  if (!inScope || !matchesLabels(term.labelSelector, other.metadata.labels)) return false;
  const [mine, its] = [owner.metadata.labels ?? {}, other.metadata.labels ?? {}];
  return (
    (term.matchLabelKeys ?? []).every((key) => mine[key] === undefined || mine[key] === its[key]) &&
    (term.mismatchLabelKeys ?? []).every(
      (key) => mine[key] === undefined || (its[key] !== undefined && mine[key] !== its[key]),
    )
  );
}

const required = (affinity: { requiredDuringSchedulingIgnoredDuringExecution?: PodAffinityTerm[] } | undefined) =>
  affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];

const everyPod = (nodes: readonly NodeInfo[], visit: (pod: Pod, info: NodeInfo) => void): void => {
  for (const info of nodes) for (const pod of info.pods.values()) visit(pod, info);
};

/** Pods that a term is about, by the domain they are in. */
interface Near {
  readonly term: PodAffinityTerm;
  readonly counts: Map<string, number>;
}

function count(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const sum = (counts.get(key) ?? 0) + by;
  if (sum === 0) counts.delete(key);
  else counts.set(key, sum);
}

/** Keeps a pod off nodes that required affinity or anti-affinity between pods, its own or that of pods that run already, forbids. */
export function createPodAffinityFilter(
  pod: Pod,
  nodes: readonly NodeInfo[],
  namespaceLabels: NamespaceLabels,
): CountingFilter {
  const counted = (term: PodAffinityTerm): Near => ({ term, counts: new Map() });
  const near = required(pod.spec.affinity?.podAffinity).map(counted);
  const far = required(pod.spec.affinity?.podAntiAffinity).map(counted);
  /** `key=value` of domains that pods which run already keep this one out of. */
  const closed = new Map<string, number>();

  const countPod: CountingFilter["count"] = (other, info, by) => {
    for (const { term, counts } of [...near, ...far]) {
      const domain = domainOf(info, term.topologyKey);
      if (domain !== undefined && concerns(term, pod, other, namespaceLabels)) count(counts, domain, by);
    }
    for (const term of required(other.spec.affinity?.podAntiAffinity)) {
      const domain = domainOf(info, term.topologyKey);
      if (domain !== undefined && concerns(term, other, pod, namespaceLabels))
        count(closed, `${term.topologyKey}=${domain}`, by);
    }
  };
  everyPod(nodes, (other, info) => countPod(other, info, 1));
  const wantsItself = near.every(({ term }) => concerns(term, pod, pod, namespaceLabels));

  return {
    count: countPod,
    check(info) {
      // The first of a group that wants to be near each other would else never find a place.
      const isFirst = wantsItself && near.every(({ counts }) => counts.size === 0);
      for (const { term, counts } of near) {
        const domain = domainOf(info, term.topologyKey);
        if (domain === undefined || !(counts.has(domain) || isFirst))
          return { reasons: ["node(s) didn't match pod affinity rules"], curable: false };
      }
      for (const { term, counts } of far) {
        const domain = domainOf(info, term.topologyKey);
        if (domain !== undefined && counts.has(domain))
          return { reasons: ["node(s) didn't match pod anti-affinity rules"], curable: true };
      }
      for (const place of closed.keys()) {
        const at = place.indexOf("=");
        if (domainOf(info, place.slice(0, at)) === place.slice(at + 1))
          return { reasons: ["node(s) didn't satisfy existing pods anti-affinity rules"], curable: true };
      }
      return undefined;
    },
  };
}

/** Points for a node by the pod's preferred affinity and anti-affinity; may be negative. */
export function createPodAffinityScore(
  pod: Pod,
  nodes: readonly NodeInfo[],
  namespaceLabels: NamespaceLabels,
): (info: NodeInfo) => number {
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  const terms = [
    ...(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((term) => ({ ...term, sign: 1 })),
    ...(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((term) => ({ ...term, sign: -1 })),
  ].map(({ podAffinityTerm: term, weight, sign }) => {
    const counts = new Map<string, number>();
    everyPod(nodes, (other, info) => {
      const domain = domainOf(info, term.topologyKey);
      if (domain !== undefined && concerns(term, pod, other, namespaceLabels))
        counts.set(domain, (counts.get(domain) ?? 0) + 1);
    });
    return { key: term.topologyKey, counts, points: sign * weight };
  });
  return (info) =>
    terms.reduce((sum, { key, counts, points }) => sum + points * (counts.get(domainOf(info, key) ?? "") ?? 0), 0);
}
