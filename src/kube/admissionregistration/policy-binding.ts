import { createStrategy, type KindRules } from "../base-strategy.ts";
import type { MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBinding } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
import { isDns1123Subdomain } from "../values/names.ts";
import { defaultMatch, validateMatch, validateParamRef } from "./match-resources.ts";

type Binding = ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding;

const bothTell =
  "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";

/** What bindings of both kinds of policies do alike. */
const common = {
  allowUnconditionalUpdate: false,
  generationOf: ({ spec }: Binding) => spec,
  defaults({ spec }: Binding) {
    if (spec?.matchResources) defaultMatch(spec.matchResources);
  },
} satisfies KindRules<Binding>;

export const validatingAdmissionPolicyBindingStrategy = createStrategy(resources.ValidatingAdmissionPolicyBinding, {
  ...common,
  *validate({ spec }) {
    yield* validateBinding(spec);
    yield* validateActions((spec as Partial<typeof spec>).validationActions ?? [], "spec.validationActions");
  },
});

export const mutatingAdmissionPolicyBindingStrategy = createStrategy(resources.MutatingAdmissionPolicyBinding, {
  ...common,
  validate: ({ spec }) => validateBinding(spec),
});

function* validateBinding({ policyName = "", paramRef, matchResources }: Binding["spec"]): Faults {
  if (policyName === "") yield fault.required("spec.policyName");
  else yield* invalids("spec.policyName", policyName, isDns1123Subdomain(policyName));
  if (paramRef) yield* validateParamRef(paramRef, "spec.paramRef");
  if (matchResources) yield* validateMatch(matchResources, "spec.matchResources");
}

function* validateActions(actions: readonly string[], path: string): Faults {
  for (const [i, action] of actions.entries()) {
    yield* validateOneOf(action, ["Audit", "Deny", "Warn"], `${path}[${i}]`);
    if (actions.indexOf(action) < i) yield fault.duplicate(`${path}[${i}]`, action);
  }
  if (actions.includes("Deny") && actions.includes("Warn")) yield fault.invalid(path, actions, bothTell);
  if (actions.length === 0) yield fault.required(path, "at least one validation action is required");
}
