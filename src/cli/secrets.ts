import { setMaxListeners } from "node:events";
import { Command } from "commander";
import { clusterDirectory, defaultDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";
import { openStore } from "./open-store.ts";
import { runningProcess } from "./process-file.ts";
import { readSettings } from "./settings.ts";

interface RotateOptions {
  readonly dir: string;
  readonly store?: string;
}

export function secretsCommand(): Command {
  const rotate = new Command("rotate")
    .description("Encrypt every Secret in the store with a new key. The old keys stay in the key file, for backups.")
    .option("--dir <dir>", "directory of the cluster", defaultDirectory)
    .option("--store <store>", "the store itself, where it is not in the cluster's directory: lmdb:PATH")
    .addHelpText(
      "after",
      `
A cluster that runs reads the new key within seconds and re-writes its Secrets by itself; else this does. It may be ended at
any time and given again.

Examples:
  fairlead secrets rotate
  fairlead secrets rotate --dir ./cluster`,
    )
    .action(rotateKey);
  return new Command("secrets")
    .description("Look after how Secrets are kept in the store.")
    .addCommand(rotate)
    .addHelpText("after", "\nExample:\n  fairlead secrets rotate");
}

async function rotateKey({ dir, store }: RotateOptions): Promise<void> {
  const directory = clusterDirectory(dir);
  const { createKeyring, EncryptionError, openKeyFile, rewriteStale, rotateKeyFile } =
    await import("../store/index.ts");
  try {
    const name = await rotateKeyFile(directory.encryption);
    if ((await runningProcess(directory.pid)) !== undefined) {
      process.stdout.write(`New key ${name}. The running cluster re-writes every Secret with it within seconds.\n`);
      return;
    }
    const { configuration } = await openKeyFile(directory.encryption, { create: false });
    const settings = readSettings(store === undefined ? {} : { store });
    const raw = await openStore(settings, directory);
    const stop = new AbortController();
    setMaxListeners(0, stop.signal);
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
    try {
      const { seen, rewritten } = await rewriteStale(raw, createKeyring(configuration), stop.signal);
      const end = stop.signal.aborted ? " Ended early: the rest is re-written at the next start." : "";
      process.stdout.write(`New key ${name}. ${rewritten} of ${seen} Secrets were re-written with it.${end}\n`);
    } finally {
      await raw.close();
    }
  } catch (error) {
    if (!(error instanceof EncryptionError)) throw error;
    throw new CliError(error.code === "PERMISSIONS" ? "NOT_PERMITTED" : "BAD_FILE", error.message, undefined, {
      cause: error,
    });
  }
}
