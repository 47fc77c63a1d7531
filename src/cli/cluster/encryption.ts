import { existsSync } from "node:fs";
import type { Store } from "../../store/index.ts";
import type { Clock, Logger } from "../../system/index.ts";
import type { ClusterDirectory } from "../directory.ts";
import { CliError } from "../errors.ts";
import type { Settings } from "../settings.ts";

export interface EncryptionOptions {
  /** The store as it is on disk. */
  readonly raw: Store;
  readonly settings: Pick<Settings, "encryptionProviderConfig">;
  readonly directory: Pick<ClusterDirectory, "encryption">;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The store as the API sees it. */
export interface Encryption {
  readonly store: Store;
  /** Follows the file of keys and re-writes what is kept in an older way. Settles when the signal aborts. */
  keep(): Promise<void>;
}

/** Where Secrets lie in the store. */
const secretsPrefix = "/registry/core/secrets/";
/** Milliseconds between two looks at whether the file of keys has changed. */
const lookInterval = 5_000;

/**
 * Encrypts Secrets in the store: by the configuration that the settings name, else by a key file of the cluster's own, which a first
 * start makes. A store that several API servers share needs one configuration for all, so there none is made unasked.
 * Throws CliError; the store is closed then.
 */
export async function openEncryption(options: EncryptionOptions): Promise<Encryption> {
  const { raw, settings, directory, signal, clock, log } = options;
  const given = settings.encryptionProviderConfig;
  if (given === "" && raw.shared && !existsSync(directory.encryption)) {
    // A store that came from a directory brings Secrets that only its key opens.
    if (!(await hasEncrypted(raw))) return { store: raw, keep: () => Promise.resolve() };
    await raw.close();
    const remedy = "name the file with its keys by --encryption-provider-config";
    throw new CliError("BAD_FILE", "the store holds encrypted Secrets, and their keys are not here", remedy);
  }
  const { createKeyring, encryptedStore, EncryptionError, openKeyFile, rewriteStale } =
    await import("../../store/index.ts");
  const path = given || directory.encryption;
  const refuse = async (error: unknown): Promise<never> => {
    await raw.close();
    if (!(error instanceof EncryptionError)) throw error;
    const code = error.code === "PERMISSIONS" ? "NOT_PERMITTED" : error.code === "DAMAGED" ? "CORRUPT" : "BAD_FILE";
    throw new CliError(code, error.message, undefined, { cause: error });
  };
  const file = await openKeyFile(path, { create: given === "" && !(await hasEncrypted(raw)) }).catch(refuse);
  const keyring = createKeyring(file.configuration);
  const store = encryptedStore(raw, keyring);
  // A key that is missing is said now, not when the first Secret is asked for.
  await store.list(secretsPrefix, { limit: 1 }).catch(refuse);

  const rewrite = async (): Promise<void> => {
    const { seen, rewritten } = await rewriteStale(raw, keyring, signal);
    if (rewritten > 0) log.info({ seen, rewritten }, "values in the store were encrypted anew");
  };
  const look = async (): Promise<void> => {
    const changed = await file.changed();
    if (!changed) return;
    keyring.use(changed);
    log.info({ path }, "the encryption configuration was read again");
    await rewrite();
  };
  return {
    store,
    async keep() {
      for (let next = rewrite; !signal.aborted; next = look) {
        await next().catch((error: unknown) => {
          if (!signal.aborted) log.error({ error: String(error) }, "the encryption configuration is not in force");
        });
        await clock.sleep(lookInterval, signal).catch(() => {});
      }
    },
  };
}

/** A store that holds encrypted values must not be given a new key file: the old one is missing, and only it opens them. */
async function hasEncrypted(raw: Store): Promise<boolean> {
  const { items } = await raw.list(secretsPrefix, { limit: 500 });
  return items.some(({ value }) => Buffer.from(value.subarray(0, 8)).toString("latin1") === "k8s:enc:");
}
