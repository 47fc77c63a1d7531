import { randomBytes, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { parseEncryptionConfiguration, type EncryptionConfiguration } from "./configuration.ts";
import { EncryptionError } from "./error.ts";

/** The encryption configuration in a file. */
export interface KeyFile {
  readonly configuration: EncryptionConfiguration;
  /** Reads the file again when it has changed: what it says now; undefined when it is as before. Throws EncryptionError. */
  changed(): Promise<EncryptionConfiguration | undefined>;
}

export interface KeyFileOptions {
  /** Makes the file with one key for Secrets when there is none; else its absence is an error. */
  readonly create: boolean;
}

/** Opens the file; only its owner may be able to read it. Throws EncryptionError BAD_CONFIGURATION or PERMISSIONS. */
export async function openKeyFile(path: string, { create }: KeyFileOptions): Promise<KeyFile> {
  if (create && !(await exists(path))) await writeKeys(path, [newKey([])]);
  let { text, mark } = await read(path);
  const configuration = await parsed(path, text);
  return {
    configuration,
    async changed() {
      if ((await markOf(path)) === mark) return undefined;
      const now = await read(path);
      mark = now.mark;
      if (now.text === text) return undefined;
      const configuration = await parsed(path, now.text);
      text = now.text;
      return configuration;
    },
  };
}

/**
 * Puts a new key in front of those in the file, which go on reading: the file must be one that Fairlead made (Secrets, `aesgcm`).
 * Answers the name of the new key. Throws EncryptionError.
 */
export async function rotateKeyFile(path: string): Promise<string> {
  const { text } = await read(path);
  const { resources } = await parsed(path, text);
  const [only, ...more] = resources;
  const [provider] = only?.providers ?? [];
  if (!only || more.length > 0 || only.resources.join() !== "secrets" || provider?.type !== "aesgcm")
    throw new EncryptionError(
      "BAD_CONFIGURATION",
      `${path} was written by somebody else: put the new key first in its list by hand; the running cluster reads it and re-writes everything`,
    );
  const keys = provider.keys.map(({ name, secret }) => ({ name, secret: secret.toString("base64") }));
  const key = newKey(keys.map(({ name }) => name));
  await writeKeys(path, [key, ...keys]);
  return key.name;
}

interface WrittenKey {
  readonly name: string;
  /** Base64. */
  readonly secret: string;
}

function newKey(taken: readonly string[]): WrittenKey {
  let number = taken.length + 1;
  while (taken.includes(`key${number}`)) number++;
  return { name: `key${number}`, secret: randomBytes(32).toString("base64") };
}

/** Whole and on disk, or not at all: a lost key is lost data. */
async function writeKeys(path: string, keys: readonly WrittenKey[]): Promise<void> {
  const document = {
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "EncryptionConfiguration",
    resources: [{ resources: ["secrets"], providers: [{ aesgcm: { keys } }, { identity: {} }] }],
  };
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(`${JSON.stringify(document, undefined, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function read(path: string): Promise<{ text: string; mark: string }> {
  const mark = await markOf(path);
  return { text: await readFile(path, "utf8"), mark };
}

/** What changes when the file does. Throws EncryptionError when it is not there or others may read it. */
async function markOf(path: string): Promise<string> {
  const found = await stat(path).catch((error: unknown) => {
    throw new EncryptionError(
      "BAD_CONFIGURATION",
      `${path} can not be read: put it back, without it Secrets are lost`,
      {
        cause: error,
      },
    );
  });
  if ((found.mode & 0o077) !== 0)
    throw new EncryptionError("PERMISSIONS", `${path} may be read by others: take that away with chmod 600 ${path}`);
  return `${found.ino} ${found.mtimeMs} ${found.size}`;
}

async function parsed(path: string, text: string): Promise<EncryptionConfiguration> {
  try {
    return await parseEncryptionConfiguration(text);
  } catch (error) {
    if (!(error instanceof EncryptionError)) throw error;
    throw new EncryptionError(error.code, `${path}: ${error.message}`, { cause: error });
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
