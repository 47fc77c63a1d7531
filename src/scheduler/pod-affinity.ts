import { matchesLabels, type Pod, type PodAffinityTerm } from "../kube/index.ts";
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

/** Why required affinity or anti-affinity between pods, its own or that of pods that run already, forbids a node. */
export function createPodAffinityFilter(
  pod: Pod,
  nodes: readonly NodeInfo[],
  namespaceLabels: NamespaceLabels,
): (info: NodeInfo) => string | undefined {
  const near = required(pod.spec.affinity?.podAffinity);
  const far = required(pod.spec.affinity?.podAntiAffinity);
  const domainsWith = (term: PodAffinityTerm): Set<string> => {
    const domains = new Set<string>();
    everyPod(nodes, (other, info) => {
      const domain = domainOf(info, term.topologyKey);
      if (domain !== undefined && !domains.has(domain) && concerns(term, pod, other, namespaceLabels))
        domains.add(domain);
    });
    return domains;
  };
  const nearDomains = near.map((term) => ({ term, domains: domainsWith(term) }));
  const farDomains = far.map((term) => ({ term, domains: domainsWith(term) }));
  // The first of a group that wants to be near each other would else never find a place.
  const isFirst =
    nearDomains.every(({ domains }) => domains.size === 0) &&
    near.every((term) => concerns(term, pod, pod, namespaceLabels));
  /** `key=value` of domains that pods which run already keep this one out of. */
  const closed = new Set<string>();
  everyPod(nodes, (other, info) => {
    for (const term of required(other.spec.affinity?.podAntiAffinity)) {
      const domain = domainOf(info, term.topologyKey);
      if (domain !== undefined && concerns(term, other, pod, namespaceLabels))
        closed.add(`${term.topologyKey}=${domain}`);
    }
  });

  return (info) => {
    for (const { term, domains } of nearDomains) {
      const domain = domainOf(info, term.topologyKey);
      if (domain === undefined || !(domains.has(domain) || isFirst)) return "node(s) didn't match pod affinity rules";
    }
    for (const { term, domains } of farDomains) {
      const domain = domainOf(info, term.topologyKey);
      if (domain !== undefined && domains.has(domain)) return "node(s) didn't match pod anti-affinity rules";
    }
    for (const place of closed) {
      const at = place.indexOf("=");
      if (domainOf(info, place.slice(0, at)) === place.slice(at + 1)) {
        return "node(s) didn't satisfy existing pods anti-affinity rules";
      }
    }
    return undefined;
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
