export type * from "./handler.ts";
export { createApiServer, type ApiServer, type ApiServerOptions } from "./server.ts";
export type { AuthenticationOptions } from "./identity.ts";
export { AuditPolicyError, parseAuditPolicy } from "./audit/index.ts";
export { frontProxyName, type AggregationOptions } from "./aggregation/index.ts";
export type { Advertised } from "./own-service.ts";
export type { PortRange } from "./allocation/index.ts";
export type { KubeletAddress, KubeletClient } from "./resources/index.ts";
export type { Authenticator, TokenAuthenticator } from "./authentication/index.ts";
export * from "./https/index.ts";
export {
  accountKeys,
  AuthenticationConfigurationError,
  createOidcAuthenticator,
  createStaticTokens,
  parseAuthenticationConfiguration,
  signLegacyToken,
  TokenFileError,
  type AccountKeys,
  type LegacyDraft,
} from "./tokens/index.ts";
export * from "./pki/index.ts";
export { eventLife } from "./storage/index.ts";
