import { readFileSync } from "node:fs";
import { importPKCS8, SignJWT } from "jose";
import type { Api } from "../provider/api.ts";
import type { BearerToken } from "../provider/bearer.ts";
import { ProviderConfigError } from "../provider/config.ts";
import { ProviderFailure } from "../provider/contract.ts";
import { shape } from "../provider/shape.ts";

/** Who calls: a service account by its key, or the one that the machine or the pod has. */
export type GceCredentials =
  | {
      readonly kind: "key";
      readonly email: string;
      readonly keyId: string;
      /** PEM, PKCS #8. */
      readonly privateKey: string;
      readonly tokenUri: string;
    }
  | { readonly kind: "metadata"; readonly url: string };

const scope = "https://www.googleapis.com/auth/compute";
const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/** Seconds that an assertion is good for: the most that Google takes. */
const assertionLives = 3_600;

/** Reads the JSON file of a service account's key. Throws ProviderConfigError, which does not repeat what is in it. */
export function readKeyFile(path: string): GceCredentials {
  const wrong = (message: string) => new ProviderConfigError(`config.credentialsFile ${path}: ${message}`);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw wrong(error instanceof SyntaxError ? "it is no JSON" : "it cannot be read");
  }
  const file = shape(value, "", wrong);
  const type = file.at("type").text();
  if (type !== "service_account") {
    throw wrong(`type is ${JSON.stringify(type.slice(0, 40))}; the key of a service account is needed`);
  }
  const tokenUri = file.at("token_uri").text();
  if (!URL.canParse(tokenUri) || !/^https?:$/.test(new URL(tokenUri).protocol))
    throw wrong("token_uri: a URL is needed");
  return {
    kind: "key",
    email: file.at("client_email").text(),
    keyId: file.at("private_key_id").text(),
    privateKey: file.at("private_key").text(),
    tokenUri,
  };
}

/** A token for Compute Engine: by a signed assertion (RFC 7523), or from the metadata server. Throws ProviderFailure. */
export async function issueToken(
  credentials: GceCredentials,
  api: Api,
  signal: AbortSignal,
  now: () => number = Date.now,
): Promise<BearerToken> {
  const assertion = credentials.kind === "metadata" ? "" : await assertionOf(credentials, now);
  const answer = await (credentials.kind === "metadata"
    ? api.ask(
        {
          method: "GET",
          url: `${credentials.url}/computeMetadata/v1/instance/service-accounts/default/token`,
          headers: { "metadata-flavor": "Google" },
          isDirect: true,
        },
        signal,
      )
    : api.ask(
        {
          method: "POST",
          url: credentials.tokenUri,
          headers: { "content-type": "application/x-www-form-urlencoded" },
          body: new URLSearchParams({ grant_type: grantType, assertion }).toString(),
          secrets: [assertion],
        },
        signal,
      ));
  const body = shape(answer.json());
  return { token: body.at("access_token").text(), lives: body.at("expires_in").number() };
}

async function assertionOf(
  { email, keyId, privateKey, tokenUri }: GceCredentials & { kind: "key" },
  now: () => number,
): Promise<string> {
  const seconds = Math.floor(now() / 1000);
  try {
    const key = await importPKCS8(privateKey, "RS256");
    return await new SignJWT({ scope })
      .setProtectedHeader({ alg: "RS256", typ: "JWT", kid: keyId })
      .setIssuer(email)
      .setAudience(tokenUri)
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + assertionLives)
      .sign(key);
  } catch {
    // What the library says may repeat the key.
    throw new ProviderFailure("Credentials", "config.credentialsFile: private_key is no RSA key in PKCS #8");
  }
}
