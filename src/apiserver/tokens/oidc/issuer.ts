import type { JWTVerifyGetKey } from "jose";
import { loadCel } from "../../../kube/index.ts";
import type { TokenAnswer, TokenAuthenticator } from "../../authentication/index.ts";
import { unverifiedClaims } from "../verify.ts";
import { trust } from "../../../system/index.ts";
import { createClaimMapping, type ClaimMapping } from "./claims.ts";
import type { JwtIssuer } from "./configuration.ts";

export interface OidcOptions {
  readonly issuers: readonly JwtIssuer[];
  /** Audiences of tokens that are meant for this API: a token of an issuer counts for all of them. */
  readonly audiences: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds between two fetches of keys, for tokens with keys that are not known. Default 10 seconds. */
  readonly keyCooldown?: number;
}

/** Signatures that are looked at: none by a shared secret, and not `none`. */
const algorithms = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"];
/** Seconds by which clocks may differ. */
const leeway = 60;
/** Milliseconds between two tries to reach an issuer that did not answer. */
const tryAgain = 10_000;
const timeout = 10_000;
/** Bytes of the largest answer of an issuer that is read. */
const longestAnswer = 1_048_576;
/** Milliseconds that an answer is remembered, and how many are. */
const memory = 10_000;
const remembered = 1024;

/**
 * Takes tokens of OpenID Connect issuers. Their keys are fetched when the first token comes and again when one is signed by a key
 * that is not known. Throws AuthenticationConfigurationError for expressions that are wrong.
 */
export async function createOidcAuthenticator({
  issuers,
  audiences,
  now,
  keyCooldown = tryAgain,
}: OidcOptions): Promise<TokenAuthenticator> {
  const needsCel = issuers.some(({ claimMappings, claimValidationRules, userValidationRules }) => {
    const { username, groups, uid, extra } = claimMappings;
    const mappings = [username, groups, uid, ...claimValidationRules];
    return extra.length + userValidationRules.length > 0 || mappings.some((one) => one && "expression" in one);
  });
  const cel = needsCel ? await loadCel() : undefined;
  const byUrl = new Map(
    issuers.map((one) => [one.issuer.url, createIssuer(one, createClaimMapping(one, cel), now, keyCooldown)]),
  );
  const known = new Map<string, { until: number; answer: TokenAnswer["user"] }>();

  return async (token, wanted) => {
    const url = unverifiedClaims(token)?.["iss"];
    const issuer = typeof url === "string" ? byUrl.get(url) : undefined;
    if (!issuer) return undefined;
    const fitting = wanted.filter((one) => audiences.includes(one));
    if (wanted.length > 0 && fitting.length === 0) return undefined;
    const found = known.get(token);
    if (found && now() < found.until) return { user: found.answer, audiences: fitting };
    const { user, ends } = await issuer(token);
    if (known.size >= remembered) {
      const [oldest = ""] = known.keys();
      known.delete(oldest);
    }
    known.set(token, { until: Math.min(now() + memory, ends), answer: user });
    return { user, audiences: fitting };
  };
}

type Verify = (token: string) => Promise<{ user: TokenAnswer["user"]; ends: number }>;

function createIssuer({ issuer }: JwtIssuer, mapping: ClaimMapping, now: () => number, keyCooldown: number): Verify {
  let keys: Promise<JWTVerifyGetKey> | undefined;
  let failedAt = -Infinity;

  const keysNow = (): Promise<JWTVerifyGetKey> => {
    if (keys) return keys;
    if (now() - failedAt < tryAgain) throw new Error(`the issuer ${issuer.url} could not be reached`);
    keys = discover(issuer, keyCooldown).catch((error: unknown) => {
      keys = undefined;
      failedAt = now();
      throw new Error(
        `the issuer ${issuer.url} could not be reached: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
    return keys;
  };

  return async (token) => {
    const { jwtVerify } = await import("jose");
    const { payload } = await jwtVerify(token, await keysNow(), {
      issuer: issuer.url,
      audience: [...issuer.audiences],
      algorithms,
      clockTolerance: leeway,
      currentDate: new Date(now()),
      requiredClaims: ["exp"],
    });
    return { user: mapping(payload), ends: (payload.exp ?? 0) * 1000 };
  };
}

async function discover(
  { url, discoveryURL, certificateAuthority }: JwtIssuer["issuer"],
  keyCooldown: number,
): Promise<JWTVerifyGetKey> {
  const [{ createRemoteJWKSet, customFetch }, { Agent, fetch }] = await Promise.all([import("jose"), import("undici")]);
  const dispatcher = new Agent({
    connect: { ...trust(certificateAuthority), timeout },
    maxResponseSize: longestAnswer,
    headersTimeout: timeout,
    bodyTimeout: timeout,
    connections: 2,
  });
  const where = discoveryURL ?? `${url.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const answer = await fetch(where, { dispatcher, redirect: "error", signal: AbortSignal.timeout(timeout) });
  if (!answer.ok) throw new Error(`it answers ${answer.status}`);
  const { issuer, jwks_uri: jwks } = (await answer.json()) as { issuer?: unknown; jwks_uri?: unknown };
  if (issuer !== url) throw new Error("its metadata names another issuer");
  if (typeof jwks !== "string" || !jwks.startsWith("https://"))
    throw new Error("its metadata names no keys over https");
  return createRemoteJWKSet(new URL(jwks), {
    timeoutDuration: timeout,
    cooldownDuration: keyCooldown,
    cacheMaxAge: 3_600_000,
    [customFetch]: (
      keysUrl: string,
      options: { headers: Headers; method: "GET"; redirect: "manual"; signal: AbortSignal },
    ) =>
      fetch(keysUrl, {
        method: options.method,
        redirect: "error",
        signal: options.signal,
        headers: Object.fromEntries(options.headers),
        dispatcher,
      }) as unknown as Promise<Response>,
  });
}
