import type { UserInfo } from "../handler.ts";
import {
  authenticated,
  unauthorized,
  type Authenticator,
  type TokenAnswer,
  type TokenAuthenticator,
} from "./authenticator.ts";
import { frontProxyUser, type FrontProxyOptions } from "./front-proxy.ts";

export interface AuthenticatorOptions {
  /** Asked in turn. */
  readonly tokens?: readonly TokenAuthenticator[];
  /** Audiences of tokens that are meant for this API. */
  readonly audiences?: readonly string[];
  /** Absent: nobody may speak for others by `X-Remote-*` headers. */
  readonly frontProxy?: FrontProxyOptions;
  /** Told why a credential was refused: never the credential. */
  readonly onRefusal?: (reason: string) => void;
}

/** Characters of a token that is looked at: longer ones are refused unread. */
const longestToken = 32_768;

/**
 * The union of all ways to say who one is, in upstream's order: front proxy, certificate, then tokens. The first that holds
 * counts; a credential that nobody takes is refused, and no credential at all is anonymous.
 */
export function createAuthenticator(options: AuthenticatorOptions = {}): Authenticator {
  const { tokens = [], audiences = [], frontProxy, onRefusal = () => {} } = options;

  const review = async (token: string, wanted: readonly string[] = audiences): Promise<TokenAnswer | undefined> => {
    if (token.length > longestToken) throw new Error("the token is too long");
    const faults: string[] = [];
    for (const authenticator of tokens) {
      try {
        const found = await authenticator(token, wanted);
        if (found) return { ...found, user: authenticated(found.user) };
      } catch (error) {
        faults.push(error instanceof Error ? error.message : String(error));
      }
    }
    if (faults.length > 0) throw new Error(faults.join(", "));
    return undefined;
  };

  const byToken = async (authorization: string): Promise<UserInfo> => {
    const token = bearerOf(authorization);
    const found =
      token === undefined
        ? undefined
        : await review(token).catch((error: unknown) => {
            onRefusal(error instanceof Error ? error.message : String(error));
            return undefined;
          });
    if (!found) throw unauthorized();
    return found.user;
  };

  return {
    audiences,
    review,
    async authenticate({ authorization, rawHeaders, certificate }) {
      if (frontProxy && certificate?.frontProxy !== undefined) {
        const user = frontProxyUser(frontProxy, certificate.frontProxy, rawHeaders);
        if (user) return authenticated(user);
      }
      if (certificate?.user) return certificate.user;
      if (authorization) return byToken(authorization);
      if (certificate) throw unauthorized();
      return undefined;
    },
  };
}

/** The token of `Bearer TOKEN`; undefined for another scheme or none. */
function bearerOf(authorization: string): string | undefined {
  const [scheme = "", token = "", ...more] = authorization.trim().split(" ");
  return scheme.toLowerCase() === "bearer" && token !== "" && more.length === 0 ? token : undefined;
}
