import type { PolicyRule } from "../generated/types.ts";
import { fault, type Faults } from "../validation/fault.ts";

/** Faults of the rules of a Role or ClusterRole. */
export function* validateRules(rules: readonly PolicyRule[], namespaced: boolean): Faults {
  for (const [i, rule] of rules.entries()) {
    const path = `rules[${i}]`;
    if (!rule.verbs?.length) yield fault.required(`${path}.verbs`, "verbs must contain at least one value");
    if (rule.nonResourceURLs?.length) {
      if (namespaced) {
        yield fault.invalid(
          `${path}.nonResourceURLs`,
          rule.nonResourceURLs,
          "namespaced rules cannot apply to non-resource URLs",
        );
      }
      if (rule.apiGroups?.length || rule.resources?.length || rule.resourceNames?.length) {
        const text = "rules cannot apply to both regular resources and non-resource URLs";
        yield fault.invalid(`${path}.nonResourceURLs`, rule.nonResourceURLs, text);
      }
      continue;
    }
    if (!rule.apiGroups?.length) {
      yield fault.required(`${path}.apiGroups`, "resource rules must supply at least one api group");
    }
    if (!rule.resources?.length) {
      yield fault.required(`${path}.resources`, "resource rules must supply at least one resource");
    }
  }
}
