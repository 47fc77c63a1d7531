import { createStrategy } from "../base-strategy.ts";
import type { MatchResources } from "../generated/types.ts";
import { resources } from "../resource.ts";

export const validatingAdmissionPolicyStrategy = createStrategy(resources.ValidatingAdmissionPolicy, {
  generationOf: (policy) => policy.spec,
  defaults({ spec }) {
    if (!spec) return;
    spec.failurePolicy ??= "Fail";
    if (spec.matchConstraints) defaultMatch(spec.matchConstraints);
  },
});

export const mutatingAdmissionPolicyStrategy = createStrategy(resources.MutatingAdmissionPolicy, {
  generationOf: (policy) => policy.spec,
  defaults({ spec }) {
    if (!spec) return;
    spec.failurePolicy ??= "Fail";
    if (spec.matchConstraints) defaultMatch(spec.matchConstraints);
  },
});

export const validatingAdmissionPolicyBindingStrategy = createStrategy(resources.ValidatingAdmissionPolicyBinding, {
  generationOf: (binding) => binding.spec,
  defaults({ spec }) {
    if (spec?.matchResources) defaultMatch(spec.matchResources);
  },
});

export const mutatingAdmissionPolicyBindingStrategy = createStrategy(resources.MutatingAdmissionPolicyBinding, {
  generationOf: (binding) => binding.spec,
  defaults({ spec }) {
    if (spec?.matchResources) defaultMatch(spec.matchResources);
  },
});

function defaultMatch(match: MatchResources): void {
  match.matchPolicy ??= "Equivalent";
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  for (const rule of [...(match.resourceRules ?? []), ...(match.excludeResourceRules ?? [])]) rule.scope ??= "*";
}
