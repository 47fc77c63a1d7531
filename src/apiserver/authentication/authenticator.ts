import { statusError, type StatusError } from "../../kube/index.ts";
import type { UserInfo } from "../handler.ts";

/** What a client shows to say who it is. */
export interface Credentials {
  /** Value of the `Authorization` header. */
  readonly authorization?: string | undefined;
  /** Header names and values in turn, as node:http gives them: names as sent, repeated headers apart. */
  readonly rawHeaders: readonly string[];
  /** Absent: none was shown. */
  readonly certificate?: ClientCertificate | undefined;
}

/** The certificate of the other end of a TLS connection. */
export interface ClientCertificate {
  /** The user it names; undefined when the client authority did not sign it, it has ended or it names nobody. */
  readonly user: UserInfo | undefined;
  /** CN of a certificate that the front proxies' authority signed. */
  readonly frontProxy: string | undefined;
  /** When it ends, milliseconds since the epoch; absent when it says nothing of who asks. */
  readonly ends?: number;
}

/** Who a bearer token is for. */
export interface TokenAnswer {
  readonly user: UserInfo;
  /** Those of the wanted audiences that the token is meant for. */
  readonly audiences: readonly string[];
}

/**
 * Looks at one bearer token that is wanted for one of `audiences`. Undefined: no token of this kind. Throws Error, with a reason
 * that holds nothing secret, for one of this kind that is not valid.
 */
export type TokenAuthenticator = (
  token: string,
  audiences: readonly string[],
) => TokenAnswer | undefined | Promise<TokenAnswer | undefined>;

/**
 * Says who sends a request. Undefined: it shows nothing, so it is anonymous. Throws StatusError Unauthorized when what it shows
 * is not valid.
 */
export interface Authenticator {
  authenticate(credentials: Credentials): Promise<UserInfo | undefined>;
  /** Looks at a token alone, as a TokenReview does. Throws Error when no kind of token takes it. */
  review(token: string, audiences?: readonly string[]): Promise<TokenAnswer | undefined>;
  /** Audiences of tokens that are meant for this API. */
  readonly audiences: readonly string[];
}

/** 401 in Kubernetes' words: says nothing of why. */
export function unauthorized(): StatusError {
  return statusError("Unauthorized", "Unauthorized");
}

export const anonymousUser: UserInfo = { name: "system:anonymous", groups: ["system:unauthenticated"] };

/** All who are known belong to this group, whatever their credentials say. */
const authenticatedGroup = "system:authenticated";

/** The user with the group of all who are known. */
export function authenticated(user: UserInfo): UserInfo {
  const { groups } = user;
  if (groups.includes(authenticatedGroup) || groups.includes("system:unauthenticated")) return user;
  return { ...user, groups: [...groups, authenticatedGroup] };
}
