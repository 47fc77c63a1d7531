export { createAccountAuthenticator, type AccountAuthenticatorOptions } from "./account-authenticator.ts";
export { accountUser, signLegacyToken, type LegacyDraft } from "./account-token.ts";
export { createIssuerDiscovery } from "./discovery.ts";
export { createTokenIssuer, type TokenIssuer } from "./issuer.ts";
export { accountKeys, TokenKeyError, type AccountKeys } from "./keys.ts";
