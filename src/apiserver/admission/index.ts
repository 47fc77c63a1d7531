export * from "./default-ingress-class.ts";
export * from "./namespace-lifecycle.ts";
export * from "./service-account.ts";
export * from "./role-escalation.ts";
