import { EncryptionError } from "./error.ts";

export interface EncryptionKey {
  readonly name: string;
  readonly secret: Buffer;
}

/** A way to keep values: the first of a list writes, all read. */
export type Provider =
  | { readonly type: "aesgcm" | "aescbc"; readonly keys: readonly EncryptionKey[] }
  | { readonly type: "identity" };

/** Which resources are kept how: for each one the first entry that names it counts. */
export interface EncryptionConfiguration {
  readonly resources: readonly { readonly resources: readonly string[]; readonly providers: readonly Provider[] }[];
}

/** Bytes of a key: AES-128, 192 or 256. */
const lengths: ReadonlySet<number> = new Set([16, 24, 32]);

/**
 * Reads an `EncryptionConfiguration` (apiserver.config.k8s.io/v1): JSON or YAML. Providers are `aesgcm`, `aescbc` (to read
 * what another server wrote) and `identity`. Throws EncryptionError BAD_CONFIGURATION.
 */
export async function parseEncryptionConfiguration(text: string): Promise<EncryptionConfiguration> {
  const document = recordOf(await parse(text), "the file");
  if (document["kind"] !== "EncryptionConfiguration") throw bad('kind must be "EncryptionConfiguration"');
  if (document["apiVersion"] !== "apiserver.config.k8s.io/v1")
    throw bad('apiVersion must be "apiserver.config.k8s.io/v1"');
  const resources = listOf(document["resources"], "resources").map((entry, i) => {
    const at = `resources[${i}]`;
    const { resources: names, providers } = recordOf(entry, at);
    return {
      resources: listOf(names, `${at}.resources`).map((name, n) => textOf(name, `${at}.resources[${n}]`)),
      providers: listOf(providers, `${at}.providers`).map((one, n) => providerOf(one, `${at}.providers[${n}]`)),
    };
  });
  for (const [i, { providers }] of resources.entries())
    if (providers[0]?.type === "aescbc")
      throw bad(`resources[${i}].providers[0]: aescbc is for reading alone: put aesgcm or identity before it`);
  return { resources };
}

async function parse(text: string): Promise<unknown> {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Loaded only for a file that is YAML.
    const { parse: parseYaml } = await import("yaml");
    try {
      return parseYaml(text) as unknown;
    } catch {
      // The parser's own message would show lines of the file, and with them keys.
      throw bad("it is neither JSON nor YAML");
    }
  }
}

function providerOf(value: unknown, at: string): Provider {
  const given = Object.entries(recordOf(value, at));
  const [entry] = given;
  if (!entry || given.length > 1) throw bad(`${at} must name one provider`);
  const [type, settings] = entry;
  if (type === "identity") return { type };
  if (type !== "aesgcm" && type !== "aescbc") throw bad(`${at}: ${type} is not known: use aesgcm, aescbc or identity`);
  const keys = listOf(recordOf(settings, `${at}.${type}`)["keys"], `${at}.${type}.keys`).map((key, i) =>
    keyOf(key, `${at}.${type}.keys[${i}]`),
  );
  if (keys.length === 0) throw bad(`${at}.${type}.keys must not be empty`);
  const twice = keys.find(({ name }, i) => keys.findIndex((other) => other.name === name) !== i);
  if (twice) throw bad(`${at}.${type}.keys: the name ${JSON.stringify(twice.name)} is there twice`);
  return { type, keys };
}

function keyOf(value: unknown, at: string): EncryptionKey {
  const { name, secret } = recordOf(value, at);
  const text = textOf(name, `${at}.name`);
  if (text.includes(":")) throw bad(`${at}.name must not contain ":"`);
  const bytes = Buffer.from(textOf(secret, `${at}.secret`), "base64");
  if (!lengths.has(bytes.length)) throw bad(`${at}.secret must be 16, 24 or 32 bytes in base64`);
  return { name: text, secret: bytes };
}

function recordOf(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad(`${at} must be an object`);
  return value as Record<string, unknown>;
}

function listOf(value: unknown, at: string): readonly unknown[] {
  if (!Array.isArray(value)) throw bad(`${at} must be a list`);
  return value;
}

function textOf(value: unknown, at: string): string {
  if (typeof value !== "string" || value === "") throw bad(`${at} must be a text`);
  return value;
}

function bad(what: string): EncryptionError {
  return new EncryptionError("BAD_CONFIGURATION", what);
}
