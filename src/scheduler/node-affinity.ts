import {
  includesLabels,
  meetsRequirements,
  requirementsOf,
  type Node,
  type NodeSelector,
  type NodeSelectorTerm,
  type Pod,
} from "../kube/index.ts";

/** True when the pod's nodeSelector and required node affinity admit the node. */
export function nodeAdmits({ spec }: Pod, node: Node): boolean {
  if (!includesLabels(spec.nodeSelector, node.metadata.labels)) return false;
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return !required || selectorAdmits(required, node);
}

/** True when the node meets one of the selector's terms. */
export const selectorAdmits = ({ nodeSelectorTerms }: NodeSelector, node: Node): boolean =>
  nodeSelectorTerms.some((term) => termMatches(term, node));

/** Sum of the weights of the preferred terms that the node meets. */
export function preferenceFor({ spec }: Pod, node: Node): number {
  const preferred = spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return preferred.reduce((sum, { weight, preference }) => sum + (termMatches(preference, node) ? weight : 0), 0);
}

/** All requirements of a term must be met; a term without any is met by no node. */
function termMatches({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, node: Node): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  const fields: Record<string, string> = { "metadata.name": node.metadata.name };
  return (
    meetsRequirements(requirementsOf({ matchExpressions }), node.metadata.labels) &&
    meetsRequirements(requirementsOf({ matchExpressions: matchFields }), fields)
  );
}
