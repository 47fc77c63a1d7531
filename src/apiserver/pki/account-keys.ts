import { createPublicKey, generateKeyPair } from "node:crypto";
import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { readText, writePrivate } from "./files.ts";

/** Keys of service-account tokens, PEM. */
export interface AccountKeyTexts {
  readonly signingKey: string;
  /** Tokens that an earlier key signed are checked by these. */
  readonly publicKeys: readonly string[];
}

const generate = promisify(generateKeyPair);

/**
 * Reads `sa.key` and every `sa*.pub` in `dir`. A missing `sa.key` is made anew (RSA of 2048 bits); a `sa.pub` that is there then is
 * kept under another name, so removing `sa.key` and starting again is how the key is changed: tokens of the old one stay good.
 */
export async function openAccountKeys(dir: string): Promise<AccountKeyTexts> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const known = await readText(join(dir, "sa.key"));
  const signingKey = known ?? (await makeKey(dir));
  const names = (await readdir(dir)).filter((name) => /^sa(-.*)?\.pub$/.test(name)).sort();
  const texts = await Promise.all(names.map((name) => readText(join(dir, name))));
  return { signingKey, publicKeys: texts.filter((text) => text !== undefined) };
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
