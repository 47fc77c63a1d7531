import { statusError } from "../kube/index.ts";
import { createAuthenticator, type Authenticator, type TokenAuthenticator } from "./authentication/index.ts";
import type { Storage } from "./storage/index.ts";
import {
  createAccountAuthenticator,
  createBootstrapTokens,
  createTokenIssuer,
  type AccountKeys,
} from "./tokens/index.ts";
import type { Clock, Logger } from "../system/index.ts";

export interface AuthenticationOptions {
  /** Keys of service-account tokens, loaded when the first token comes or is asked for. */
  readonly accountKeys: () => Promise<AccountKeys>;
  /** Issuers of service-account tokens: the first signs. Default `https://kubernetes.default.svc.cluster.local`. */
  readonly issuers?: readonly string[];
  /** Audiences of tokens that are meant for this API. Default: the issuers. */
  readonly audiences?: readonly string[];
  /** Further kinds of tokens, asked after those of service accounts. */
  readonly tokens?: readonly TokenAuthenticator[];
  /** CNs of front proxies that are believed what they say of users; none: every one with a certificate of their authority. */
  readonly frontProxyNames?: readonly string[];
}

/** Issuer and audience of a cluster's tokens where nobody says otherwise. */
const usualIssuer = "https://kubernetes.default.svc.cluster.local";

export interface Identity {
  readonly authenticator: Authenticator;
  readonly issuer: ReturnType<typeof createTokenIssuer>;
}

export interface IdentityOptions {
  readonly authentication?: AuthenticationOptions;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Who clients are, and the tokens by which they say so. */
export function createIdentity({ authentication, clock, log }: IdentityOptions, storage: Storage): Identity {
  const { issuers = [usualIssuer], tokens = [], frontProxyNames = [] } = authentication ?? {};
  const { audiences = issuers } = authentication ?? {};
  const keys = authentication?.accountKeys ?? noKeys;
  const now = (): number => clock.now();
  const authenticator = createAuthenticator({
    tokens: [
      createAccountAuthenticator({ storage, keys, issuers, now }),
      createBootstrapTokens({ storage, audiences, now }),
      ...tokens,
    ],
    audiences,
    frontProxy: { allowedNames: frontProxyNames },
    onRefusal: (reason) => log.debug({ reason }, "a bearer token was refused"),
  });
  return {
    authenticator,
    issuer: createTokenIssuer({ storage, keys, issuer: issuers[0] ?? usualIssuer, audiences, now }),
  };
}

function noKeys(): Promise<AccountKeys> {
  return Promise.reject(statusError("ServiceUnavailable", "this server has no key for service-account tokens"));
}
