import type { Pod } from "../kube/index.ts";
import { createFilter, type Objection } from "./filters.ts";
import type { NodeInfo } from "./node-info.ts";
import { scoreNodes } from "./scores.ts";
import type { Surroundings } from "./surroundings.ts";
import { claimsFault } from "./volumes.ts";

export type Placement = { readonly nodeName: string } | NoPlace;

export interface NoPlace {
  /** Why no node will do, in upstream's words. */
  readonly message: string;
  /** What each node has against the pod, in their order. */
  readonly objections: readonly Objection[];
}

/** Chooses a node for a pod. Pure: nothing is changed, and the same input gives the same answer. */
export function schedule(pod: Pod, nodes: readonly NodeInfo[], surroundings: Surroundings): Placement {
  if (nodes.length === 0) return { message: "no nodes available to schedule pods", objections: [] };
  const fault = claimsFault(pod, surroundings.storage);
  if (fault !== undefined) {
    const objection = { reasons: [fault], curable: false };
    return { message: `0/${nodes.length} nodes are available: ${fault}.`, objections: nodes.map(() => objection) };
  }
  const filter = createFilter(pod, nodes, surroundings);
  const found = nodes.map((info) => filter.check(info));
  const candidates = nodes.filter((_, i) => !found[i]);
  if (candidates.length === 0) {
    const objections = found.filter((objection) => objection !== undefined);
    return { message: unavailable(objections), objections };
  }
  // Room was made for it there.
  const promised = candidates.find(({ nominated }) => nominated.has(pod.metadata.uid ?? ""));
  if (promised) return { nodeName: promised.node.metadata.name };
  const scores = candidates.length === 1 ? [0] : scoreNodes(pod, candidates, nodes, surroundings);
  const best = candidates.reduce(
    (best, info, i) => {
      const difference = (scores[i] ?? 0) - best.score;
      const fewer = info.pods.size < best.info.pods.size;
      return difference > 1e-9 || (Math.abs(difference) <= 1e-9 && fewer) ? { info, score: scores[i] ?? 0 } : best;
    },
    { info: candidates[0] as NodeInfo, score: scores[0] ?? 0 },
  );
  return { nodeName: best.info.node.metadata.name };
}

/** Counts the reasons why none of the nodes will do, one objection a node. */
export function unavailable(objections: readonly Pick<Objection, "reasons">[]): string {
  const counts = new Map<string, number>();
  for (const { reasons } of objections) {
    for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  const texts = [...counts].map(([reason, count]) => `${count} ${reason}`).sort();
  return `0/${objections.length} nodes are available: ${texts.join(", ")}.`;
}
