import type { Pod } from "../kube/index.ts";
import { createFilter } from "./filters.ts";
import type { NodeInfo } from "./node-info.ts";
import { scoreNodes } from "./scores.ts";
import type { Surroundings } from "./surroundings.ts";

export type Placement =
  | { readonly nodeName: string }
  /** Why no node will do, in upstream's words. */
  | { readonly message: string };

/** Chooses a node for a pod. Pure: nothing is changed, and the same input gives the same answer. */
export function schedule(pod: Pod, nodes: readonly NodeInfo[], surroundings: Surroundings): Placement {
  if (nodes.length === 0) return { message: "no nodes available to schedule pods" };
  const filter = createFilter(pod, nodes, surroundings);
  const candidates: NodeInfo[] = [];
  const reasons = new Map<string, number>();
  for (const info of nodes) {
    const found = filter(info);
    if (found.length === 0) candidates.push(info);
    for (const reason of found) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  if (candidates.length === 0) {
    const texts = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort();
    return { message: `0/${nodes.length} nodes are available: ${texts.join(", ")}.` };
  }
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
