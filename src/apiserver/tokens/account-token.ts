import { randomUUID } from "node:crypto";
import type { SigningKey } from "./keys.ts";

/** Who or what a token names: by name, and by uid where it was made for that very object. */
export interface Reference {
  readonly name: string;
  readonly uid?: string;
}

/** The claim `kubernetes.io` of a bound token (KEP-1205, KEP-4193). */
export interface BoundClaims {
  readonly namespace: string;
  readonly serviceaccount: Reference;
  readonly pod?: Reference;
  readonly secret?: Reference;
  readonly node?: Reference;
}

export interface TokenDraft {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly bound: BoundClaims;
  /** Seconds since the epoch. */
  readonly now: number;
  /** Seconds. */
  readonly lifetime: number;
}

/** User name of a service account. */
export function accountUser(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

/** A signed token that is bound to an account and, as the draft says, to an object. */
export async function signAccountToken(key: SigningKey, draft: TokenDraft): Promise<string> {
  const { issuer, audiences, bound, now, lifetime } = draft;
  return sign(key, {
    aud: [...audiences],
    exp: now + lifetime,
    iat: now,
    iss: issuer,
    jti: randomUUID(),
    "kubernetes.io": bound,
    nbf: now,
    sub: accountUser(bound.namespace, bound.serviceaccount.name),
  });
}

export const legacyIssuer = "kubernetes/serviceaccount";

/** Claims of tokens that stand in Secrets: they do not end, and hold as long as account and Secret exist. */
export interface LegacyDraft {
  readonly namespace: string;
  readonly account: Required<Reference>;
  readonly secret: string;
}

/** The token for a Secret of type `kubernetes.io/service-account-token`. */
export async function signLegacyToken(key: SigningKey, { namespace, account, secret }: LegacyDraft): Promise<string> {
  return sign(key, {
    iss: legacyIssuer,
    "kubernetes.io/serviceaccount/namespace": namespace,
    "kubernetes.io/serviceaccount/secret.name": secret,
    "kubernetes.io/serviceaccount/service-account.name": account.name,
    "kubernetes.io/serviceaccount/service-account.uid": account.uid,
    sub: accountUser(namespace, account.name),
  });
}

async function sign(key: SigningKey, claims: Record<string, unknown>): Promise<string> {
  // Loaded when the first token is made: a start needs none.
  const { SignJWT } = await import("jose");
  return new SignJWT(claims).setProtectedHeader({ alg: key.algorithm, kid: key.id }).sign(key.secret);
}
