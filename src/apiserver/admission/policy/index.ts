export { bindingsOf } from "./environment.ts";
export { compileConditions, type Conditions } from "./expressions.ts";
export { validatingPolicies, type PolicyOptions } from "./validating.ts";
