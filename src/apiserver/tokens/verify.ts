import type { VerifyingKey } from "./keys.ts";

/** What a token says, once its signature was found good. */
export type Claims = Readonly<Record<string, unknown>>;

/** Tokens whose signature is remembered. */
const remembered = 2048;

/** What a token says of itself, unverified: only to see whose it might be. Undefined: no JWT. */
export function unverifiedClaims(token: string): Claims | undefined {
  const parts = token.split(".");
  if (parts.length !== 3) return undefined;
  return objectOf(parts[1] ?? "");
}

function objectOf(part: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Claims) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Checks signatures by a set of keys, each with the one algorithm that its type goes with: the token's header chooses among the keys
 * and nothing else. Good ones are remembered, for a client sends the same token with each request. Dates and audiences are the
 * caller's to check. Throws Error.
 */
export function createSignatureCheck(): (token: string, keys: readonly VerifyingKey[]) => Promise<Claims> {
  const known = new Map<string, { keys: readonly VerifyingKey[]; claims: Claims }>();
  return async (token, keys) => {
    const found = known.get(token);
    if (found?.keys === keys) return found.claims;
    const claims = await verify(token, keys);
    if (known.size >= remembered) {
      const [oldest = ""] = known.keys();
      known.delete(oldest);
    }
    known.set(token, { keys, claims });
    return claims;
  };
}

async function verify(token: string, keys: readonly VerifyingKey[]): Promise<Claims> {
  const { compactVerify } = await import("jose");
  const header = objectOf(token.slice(0, token.indexOf(".")));
  const { kid, alg } = header ?? {};
  const fitting = keys.filter((key) => (kid === undefined || kid === key.id) && alg === key.algorithm);
  for (const { key, algorithm } of fitting) {
    const verified = await compactVerify(token, key, { algorithms: [algorithm] }).catch(() => undefined);
    if (!verified) continue;
    const claims = objectOf(Buffer.from(verified.payload).toString("base64url"));
    if (claims) return claims;
  }
  throw new Error("invalid bearer token: it is not signed by a key that is known here");
}

/** Audiences of a token: `aud` is one text or several (RFC 7519 section 4.1.3). */
export function audiencesIn({ aud }: Claims): string[] {
  const given: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return given.filter((one): one is string => typeof one === "string");
}

/** Seconds by which clocks may differ. */
const leeway = 60;

/** Throws Error when a token is not yet or no longer valid at `now` (seconds). `mustEnd`: it must say when it ends. */
export function checkDates({ exp, nbf, iat }: Claims, now: number, mustEnd: boolean): void {
  if (exp === undefined && mustEnd) throw new Error("token does not say when it expires");
  for (const date of [exp, nbf, iat])
    if (date !== undefined && typeof date !== "number") throw new Error("a date of the token is no number");
  if (typeof exp === "number" && now >= exp + leeway) throw new Error("service account token has expired");
  if (typeof nbf === "number" && now < nbf - leeway) throw new Error("token is not valid yet");
  if (typeof iat === "number" && now < iat - leeway) throw new Error("token was issued in the future");
}
