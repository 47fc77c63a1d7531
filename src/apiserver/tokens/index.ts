export { createAccountAuthenticator, type AccountAuthenticatorOptions } from "./account-authenticator.ts";
export { accountUser, signLegacyToken, type LegacyDraft } from "./account-token.ts";
export { createBootstrapTokens } from "./bootstrap-token.ts";
export { createIssuerDiscovery } from "./discovery.ts";
export { createTokenIssuer, type TokenIssuer } from "./issuer.ts";
export { accountKeys, TokenKeyError, type AccountKeys } from "./keys.ts";
export {
  AuthenticationConfigurationError,
  parseAuthenticationConfiguration,
  type JwtIssuer,
} from "./oidc/configuration.ts";
export { createOidcAuthenticator } from "./oidc/issuer.ts";
export { createStaticTokens, TokenFileError } from "./static-tokens.ts";
