import type { Pod } from "../kube/index.ts";
import { preferenceFor } from "./node-affinity.ts";
import type { NodeInfo } from "./node-info.ts";
import { createPodAffinityScore } from "./pod-affinity.ts";
import { requestsOf } from "./resources.ts";
import type { Surroundings } from "./surroundings.ts";
import { softTaintsAgainst } from "./taints.ts";
import { countDomains, domainOf, type Spread, spreadsOf } from "./topology.ts";

/** What a container that asks for nothing is taken to use. */
const assumed = new Map([
  ["cpu", 100],
  ["memory", 200 << 20],
]);

/** Points, each from 0 to 100 times a weight (upstream's), of the nodes that may take the pod; the most is the best. */
export function scoreNodes(
  pod: Pod,
  candidates: readonly NodeInfo[],
  nodes: readonly NodeInfo[],
  surroundings: Surroundings,
): number[] {
  const near = createPodAffinityScore(pod, nodes, surroundings.namespaceLabels);
  const scores = [
    { weight: 1, points: candidates.map((info) => leastAllocated(pod, info)) },
    { weight: 1, points: candidates.map((info) => balanced(pod, info)) },
    { weight: 2, points: spreadPoints(pod, candidates, nodes, surroundings) },
    { weight: 3, points: rescale(candidates.map(({ node }) => -softTaintsAgainst(pod, node))) },
    { weight: 2, points: rescale(candidates.map(({ node }) => preferenceFor(pod, node))) },
    { weight: 2, points: rescale(candidates.map(near)) },
  ];
  return candidates.map((_, i) => scores.reduce((sum, { weight, points }) => sum + weight * (points[i] ?? 0), 0));
}

/** 0 for the least and 100 for the most; all 0 when all are equal. */
function rescale(values: readonly number[]): number[] {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return values.map((value) => (most === least ? 0 : (100 * (value - least)) / (most - least)));
}

/** Shares of CPU and memory that would be taken. */
function shares(pod: Pod, { allocatable, requested, pods }: NodeInfo): number[] {
  const wanted = requestsOf(pod);
  const shares: number[] = [];
  for (const [name, least] of assumed) {
    const all = allocatable.get(name) ?? 0;
    if (all === 0) continue;
    let taken = (requested.get(name) ?? 0) + (wanted.get(name) || least);
    for (const other of pods.values()) if (!requestsOf(other).get(name)) taken += least;
    shares.push(Math.min(1, taken / all));
  }
  return shares;
}

function leastAllocated(pod: Pod, info: NodeInfo): number {
  const taken = shares(pod, info);
  return taken.length === 0 ? 0 : (100 * taken.reduce((sum, share) => sum + 1 - share, 0)) / taken.length;
}

function balanced(pod: Pod, info: NodeInfo): number {
  const [a = 0, b = a] = shares(pod, info);
  return 100 * (1 - Math.abs(a - b) / 2);
}

/** Few pods of the same kind in the node's domains are good: by the pod's soft constraints, else by owner and Service. */
function spreadPoints(
  pod: Pod,
  candidates: readonly NodeInfo[],
  nodes: readonly NodeInfo[],
  { relatedTo }: Surroundings,
): number[] {
  const own = spreadsOf(pod, "ScheduleAnyway");
  const isDefault = own.length === 0 && !pod.spec.topologySpreadConstraints?.length;
  const spreads = isDefault ? defaultSpreads(relatedTo(pod)) : own;
  if (spreads.length === 0) return candidates.map(() => 0);
  const counted = spreads.map((spread) => ({ spread, counts: countDomains(spread, isDefault ? [] : spreads, nodes) }));
  const costs = candidates.map((info) =>
    counted.reduce((sum, { spread, counts }) => {
      const count = counts.get(domainOf(info, spread.topologyKey) ?? "") ?? 0;
      // Few domains tell less than many do.
      return sum + count * Math.log(counts.size + 2) + spread.maxSkew - 1;
    }, 0),
  );
  const [least, most] = [Math.min(...costs), Math.max(...costs)];
  return costs.map((cost) => (most === 0 ? 100 : (100 * (most + least - cost)) / most));
}

const defaultSpreads = (counts: (pod: Pod) => boolean): Spread[] =>
  [
    { topologyKey: "kubernetes.io/hostname", maxSkew: 3 },
    { topologyKey: "topology.kubernetes.io/zone", maxSkew: 5 },
  ].map((spread) => ({ ...spread, minDomains: 1, self: 1, counts, admits: () => true }));
