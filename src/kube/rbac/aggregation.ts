import type { ClusterRole, PolicyRule } from "../generated/types.ts";
import { matchesLabels } from "../selectors/label-selector.ts";
import { semanticEqual } from "../values/equal.ts";

/** The rules of a ClusterRole with an `aggregationRule`: those of the roles it selects by label, in order of their names, each once. */
export function aggregatedRules({ metadata, aggregationRule }: ClusterRole, all: readonly ClusterRole[]): PolicyRule[] {
  const byName = all.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const rules: PolicyRule[] = [];
  for (const selector of aggregationRule?.clusterRoleSelectors ?? []) {
    for (const role of byName) {
      if (role.metadata.name === metadata.name || !matchesLabels(selector, role.metadata.labels ?? {})) continue;
      for (const rule of role.rules ?? []) {
        if (!rules.some((present) => semanticEqual(present, rule))) rules.push(rule);
      }
    }
  }
  return rules;
}
