import { createPublicKey, generateKeyPair } from "node:crypto";
import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { accountKeys, TokenKeyError } from "../tokens/keys.ts";
import { readText, writePrivate } from "./files.ts";
import { PkiError } from "./pki-error.ts";

/** Keys of service-account tokens, PEM. */
export interface AccountKeyTexts {
  readonly signingKey: string;
  /** Tokens that an earlier key signed are checked by these. */
  readonly publicKeys: readonly string[];
}

const generate = promisify(generateKeyPair);

const isPublic = (name: string): boolean => /^sa(-.*)?\.pub$/.test(name);

/** Whether there are keys that somebody made. */
export async function hasAccountKeys(dir: string): Promise<boolean> {
  const names = await readdir(dir).catch((): string[] => []);
  return names.some((name) => name === "sa.key" || isPublic(name));
}

/**
 * Reads `sa.key` and every `sa*.pub` in `dir`. A missing `sa.key` is made anew (RSA of 2048 bits); a `sa.pub` that is there then is
 * kept under another name, so removing `sa.key` and starting again is how the key is changed: tokens of the old one stay good.
 * Throws PkiError for a file that tokens can not be signed or checked with.
 */
export async function openAccountKeys(dir: string): Promise<AccountKeyTexts> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const known = await readText(join(dir, "sa.key"));
  const before = await publicKeys(dir);
  if (known !== undefined) {
    check(dir, "sa.key", () => accountKeys(known));
    return { signingKey: known, publicKeys: before };
  }
  const signingKey = await makeKey(dir);
  return { signingKey, publicKeys: await publicKeys(dir) };
}

async function publicKeys(dir: string): Promise<string[]> {
  const names = (await readdir(dir)).filter(isPublic).sort();
  const found = await Promise.all(names.map(async (name) => ({ name, text: await readText(join(dir, name)) })));
  return found.flatMap(({ name, text }) => {
    if (text === undefined) return [];
    check(dir, name, () => createPublicKey(text));
    return [text];
  });
}

/** Throws PkiError when a key can not be made of a file. */
function check(dir: string, name: string, make: () => unknown): void {
  try {
    make();
  } catch (error) {
    const why = error instanceof TokenKeyError && error.cause === undefined ? error.message : "it can not be read";
    const remedy =
      name === "sa.key"
        ? "put it back, or remove it to have a new one made"
        : "put it back, or remove it if no token of its key is needed any more";
    throw new PkiError(`${join(dir, name)} is no key of service-account tokens (${why}); ${remedy}`, { cause: error });
  }
}

async function makeKey(dir: string): Promise<string> {
  const { privateKey, publicKey } = await generate("rsa", {
    modulusLength: 2048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const old = await readText(join(dir, "sa.pub"));
  if (old !== undefined) await rename(join(dir, "sa.pub"), join(dir, `sa-${fingerprint(old)}.pub`));
  await writePrivate(join(dir, "sa.pub"), publicKey);
  await writePrivate(join(dir, "sa.key"), privateKey);
  return privateKey;
}

/** A short name for a public key. */
function fingerprint(pem: string): string {
  const der = createPublicKey(pem).export({ type: "spki", format: "der" });
  return der.subarray(-16, -8).toString("hex");
}
