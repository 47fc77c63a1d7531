import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { EncryptionKey, Provider } from "./configuration.ts";
import { EncryptionError } from "./error.ts";

/** How the values of one resource are kept. */
export interface Transform {
  /** `key` is where the value lies: it can not be read at another place. */
  seal(key: string, value: Uint8Array): Uint8Array;
  /** Throws EncryptionError KEY_MISSING or DAMAGED. */
  open(key: string, stored: Uint8Array): Uint8Array;
  /** True when `seal` would write it in another way: under an older key, or not at all encrypted. */
  isStale(stored: Uint8Array): boolean;
}

const marker = Buffer.from("k8s:enc:");
/** Bytes of the longest prefix that is looked at. */
const longestPrefix = 512;
const nonceBytes = 12;
const tagBytes = 16;

/**
 * Values as Kubernetes lays them out: `k8s:enc:aesgcm:v1:NAME:`, then a nonce of 12 bytes, the text and a tag of 16, the value's key
 * in the store being authenticated with it. The first provider writes; all read, and so is what was never encrypted.
 */
export function createTransform(providers: readonly Provider[]): Transform {
  const [first] = providers;
  const writer = first && first.type === "aesgcm" ? first.keys[0] : undefined;
  const prefix = writer && Buffer.from(`k8s:enc:aesgcm:v1:${writer.name}:`);
  const readers = new Map<string, EncryptionKey>();
  for (const provider of providers)
    if (provider.type !== "identity")
      for (const key of provider.keys) readers.set(`${provider.type}:v1:${key.name}`, key);

  return {
    seal: (key, value) => (writer && prefix ? Buffer.concat([prefix, sealGcm(writer, key, value)]) : value),
    open(key, stored) {
      const head = headOf(stored);
      if (head === undefined) return stored;
      const reader = readers.get(head.name);
      if (!reader)
        throw new EncryptionError(
          "KEY_MISSING",
          `${key} is encrypted with ${head.name.replace(":v1:", " key ")}, which the encryption configuration does not have: put that key back`,
        );
      const body = stored.subarray(head.length);
      try {
        return head.name.startsWith("aesgcm:") ? openGcm(reader, key, body) : openCbc(reader, body);
      } catch (error) {
        throw new EncryptionError(
          "DAMAGED",
          `${key} can not be decrypted with key ${reader.name}: it is damaged, or the key of this name is another one`,
          { cause: error },
        );
      }
    },
    isStale(stored) {
      if (!prefix) return headOf(stored) !== undefined;
      return stored.length < prefix.length || !prefix.equals(stored.subarray(0, prefix.length));
    },
  };
}

/** Provider, version and key name in front of an encrypted value, and its length; undefined for what is not encrypted. */
function headOf(stored: Uint8Array): { name: string; length: number } | undefined {
  if (stored[0] !== marker[0] || !marker.equals(stored.subarray(0, marker.length))) return undefined;
  const text = Buffer.from(stored.buffer, stored.byteOffset, Math.min(stored.length, longestPrefix)).toString("latin1");
  const end = /^k8s:enc:[^:]*:[^:]*:[^:]*:/.exec(text)?.[0];
  if (end === undefined) throw new EncryptionError("DAMAGED", "an encrypted value has no whole prefix");
  // A name may hold other than ASCII; it was counted in bytes.
  const name = Buffer.from(end, "latin1").toString("utf8").slice(marker.length, -1);
  return { name, length: end.length };
}

function sealGcm({ secret }: EncryptionKey, key: string, value: Uint8Array): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(gcm(secret), secret, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(key));
  return Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()]);
}

function openGcm({ secret }: EncryptionKey, key: string, body: Uint8Array): Buffer {
  if (body.length < nonceBytes + tagBytes) throw new Error("too short");
  const decipher = createDecipheriv(gcm(secret), secret, body.subarray(0, nonceBytes), { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(key));
  decipher.setAuthTag(body.subarray(body.length - tagBytes));
  return Buffer.concat([decipher.update(body.subarray(nonceBytes, body.length - tagBytes)), decipher.final()]);
}

function openCbc({ secret }: EncryptionKey, body: Uint8Array): Buffer {
  const decipher = createDecipheriv(`aes-${secret.length * 8}-cbc`, secret, body.subarray(0, 16));
  return Buffer.concat([decipher.update(body.subarray(16)), decipher.final()]);
}

function gcm(secret: Buffer): "aes-128-gcm" | "aes-192-gcm" | "aes-256-gcm" {
  return `aes-${(secret.length * 8) as 128 | 192 | 256}-gcm`;
}
