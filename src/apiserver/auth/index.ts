export * from "./authorize.ts";
export * from "./authorizer.ts";
export * from "./bootstrap-roles.ts";
export * from "./impersonate.ts";
export { nodeOf } from "./node.ts";
export * from "./rbac.ts";
export * from "./rules.ts";
