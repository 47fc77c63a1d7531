export { bindingsOf } from "./environment.ts";
export { compileConditions, type Conditions } from "./expressions.ts";
export { type PolicyOptions } from "./hooks.ts";
export { mutatingPolicies } from "./mutating.ts";
export { validatingPolicies } from "./validating.ts";
export { keepPolicyStatus, type PolicyStatusOptions } from "./status.ts";
