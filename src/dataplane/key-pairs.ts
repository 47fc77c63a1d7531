import type { Secret } from "../kube/index.ts";
import { readKeyPair } from "../routing/index.ts";
import { servedKeyPair } from "./certificate.ts";
import type { Configuration, KeyPair } from "./dataplane.ts";

/** Hands over the key pairs of Secrets as they are served. Reading keys takes long: each Secret is read once. */
export function createKeyPairs(
  secretOf: (name: { readonly namespace?: string; readonly name: string }) => Secret | undefined,
): Configuration["keyPair"] {
  const known = new WeakMap<Secret, KeyPair | "unusable">();
  return ({ secret }) => {
    const found = secretOf(secret);
    if (!found) return undefined;
    let pair = known.get(found);
    if (!pair) known.set(found, (pair = read(found)));
    return pair === "unusable" ? undefined : pair;
  };
}

/** A Secret may have become unusable since the model was made; the next model says so. */
function read(secret: Secret): KeyPair | "unusable" {
  const pair = readKeyPair(secret);
  try {
    return typeof pair === "object" ? servedKeyPair(pair) : "unusable";
  } catch {
    return "unusable";
  }
}
