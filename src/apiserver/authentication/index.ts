export * from "./authenticate.ts";
export * from "./authenticator.ts";
export * from "./front-proxy.ts";
export { impersonationOf, type Impersonation } from "./impersonation.ts";
