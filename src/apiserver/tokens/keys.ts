import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";

/** Signature algorithms of service-account tokens: one a type of key, so no token chooses how it is checked. */
export type TokenAlgorithm = "RS256" | "ES256" | "ES384" | "ES512";

export interface VerifyingKey {
  /** SHA-256 of the public key's DER, base64url, as upstream. */
  readonly id: string;
  readonly algorithm: TokenAlgorithm;
  readonly key: KeyObject;
}

export interface SigningKey extends VerifyingKey {
  /** The private half. */
  readonly secret: KeyObject;
}

/** By what service-account tokens are signed, and by what they are checked: the first of the keys is the signing one. */
export interface AccountKeys {
  readonly signing: SigningKey;
  readonly verifying: readonly VerifyingKey[];
}

/** A key that service-account tokens can not be signed or checked with. */
export class TokenKeyError extends Error {
  override readonly name = "TokenKeyError";
  readonly code = "UNSUPPORTED_KEY";
}

/** Keys from PEM: a private one that signs, and public ones of earlier times that tokens are still taken of. Throws TokenKeyError. */
export function accountKeys(signingKey: string, publicKeys: readonly string[] = []): AccountKeys {
  const secret = read(() => createPrivateKey(signingKey));
  const own = verifyingKey(createPublicKey(secret));
  const others = publicKeys.map((pem) => verifyingKey(read(() => createPublicKey(pem))));
  return { signing: { ...own, secret }, verifying: [own, ...others.filter(({ id }) => id !== own.id)] };
}

function read(make: () => KeyObject): KeyObject {
  try {
    return make();
  } catch (error) {
    throw new TokenKeyError("a key for service-account tokens can not be read: it must be PEM", { cause: error });
  }
}

function verifyingKey(key: KeyObject): VerifyingKey {
  const der = key.export({ type: "spki", format: "der" });
  return { id: createHash("sha256").update(der).digest("base64url"), algorithm: algorithmOf(key), key };
}

function algorithmOf(key: KeyObject): TokenAlgorithm {
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa" && modulusLength >= 2048) return "RS256";
  const curves: Readonly<Record<string, TokenAlgorithm>> = {
    prime256v1: "ES256",
    secp384r1: "ES384",
    secp521r1: "ES512",
  };
  const algorithm = key.asymmetricKeyType === "ec" ? curves[namedCurve] : undefined;
  if (algorithm) return algorithm;
  throw new TokenKeyError(
    "service-account tokens are signed with RSA of 2048 bits or more, or with P-256, P-384 or P-521",
  );
}
