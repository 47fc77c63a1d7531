export * from "./authorize.ts";
export * from "./bootstrap-roles.ts";
export * from "./impersonate.ts";
export * from "./rbac.ts";
export * from "./rules.ts";
