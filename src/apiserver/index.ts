export type * from "./handler.ts";
export { createApiServer, type ApiServer, type ApiServerOptions, type AuthenticationOptions } from "./server.ts";
export type { Advertised } from "./own-service.ts";
export type { PortRange } from "./allocation/index.ts";
export type { KubeletAddress, KubeletClient } from "./resources/index.ts";
export type { Authenticator, TokenAuthenticator } from "./authentication/index.ts";
export * from "./https/index.ts";
export { accountKeys, type AccountKeys } from "./tokens/index.ts";
export * from "./pki/index.ts";
