export { createAdmission, type AdmissionOptions } from "./chain.ts";
export * from "./match.ts";
export { keepPolicyStatus } from "./policy/index.ts";
export { subjectOf, type Equivalent, type FindEquivalents } from "./subject.ts";
