import { stat } from "node:fs/promises";
import { Command, Option } from "commander";
import { clusterDirectory, defaultDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";
import { etcdOptions, storePath, type StoreSettings } from "./open-store.ts";
import { type OutputFormat, parseOutput, render, table } from "./output.ts";
import { defaultSettings, readSettings } from "./settings.ts";
import type { Place } from "./store-transfer.ts";

interface StoreFlags extends Readonly<Record<string, unknown>> {
  readonly dir: string;
  readonly path?: string;
  readonly store?: string;
  readonly force?: boolean;
}

const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

/** The options that name a store. */
function named(command: Command): Command {
  return etcdOptionsOf(
    command
      .option("--dir <dir>", "directory of the cluster", defaultDirectory)
      .option("--path <path>", "the store itself, where it is not in the cluster's directory")
      .option("--store <store>", "lmdb, lmdb:PATH or etcd (default: lmdb)"),
  );
}

function etcdOptionsOf(command: Command): Command {
  return command
    .option("--etcd-servers <urls>", "members of etcd, with commas between; may be repeated", collect)
    .option("--etcd-cafile <file>", "authority of etcd's certificates, PEM")
    .option("--etcd-certfile <file>", "certificate to show to etcd, PEM")
    .option("--etcd-keyfile <file>", "key of that certificate, PEM")
    .option("--etcd-prefix <path>", `what keys in etcd begin with (default: ${defaultSettings.etcdPrefix})`);
}

function placeOf(flags: StoreFlags, store = flags.store): Place {
  const { path, dir } = flags;
  const given = store === undefined && path !== undefined ? `lmdb:${path}` : store;
  return { settings: readSettings({ ...flags, store: given }), dir };
}

const tell = (line: string): void => void process.stdout.write(`${line}\n`);

export function storeCommand(): Command {
  const check = named(new Command("check"))
    .description(
      "Read every record of the store and verify that it is consistent; ask every member of etcd how it is. Changes nothing.",
    )
    .addOption(new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput))
    .addHelpText(
      "after",
      `
It may run while the cluster runs. Exit code 12 says that the store is damaged; the findings say where.

Examples:
  fairlead store check
  fairlead store check --dir ./cluster -o json
  fairlead store check --store etcd --etcd-servers http://10.0.0.1:2379,http://10.0.0.2:2379`,
    )
    .action(checkStoreOf);
  const backup = named(new Command("backup"))
    .description("Write everything that the cluster knows to a file: the state of one moment, with a checksum.")
    .argument("<file>", "file to write")
    .addHelpText(
      "after",
      `
It may run while the cluster runs. The file holds Secrets as they are stored; it can be read by its owner only.

Example:
  fairlead store backup monday.backup`,
    )
    .action(async (file: string, flags: StoreFlags) => (await transfer()).backUp(placeOf(flags), file, tell));
  const restore = named(new Command("restore"))
    .description("Make the store what a backup says. The cluster must be stopped.")
    .argument("<file>", "file that `store backup` wrote")
    .option("--force", "replace what the store holds; a store in a directory is kept beside it", false)
    .addHelpText(
      "after",
      `
The backup is checked whole before anything is changed. Objects get new resource versions. A store in a directory counts on far
beyond those of the backup, so that clients begin anew; an etcd without data counts from 1: restart its clients.

Examples:
  fairlead store restore monday.backup --dir ./cluster
  fairlead store restore monday.backup --store etcd --etcd-servers http://10.0.0.1:2379 --force`,
    )
    .action(async (file: string, flags: StoreFlags) =>
      (await transfer()).restore(placeOf(flags), file, flags.force ?? false, tell),
    );
  const copy = etcdOptionsOf(new Command("copy"))
    .description("Make one store what another is: from a directory to etcd, or back. The cluster must be stopped.")
    .requiredOption("--from <store>", "lmdb:PATH or etcd")
    .requiredOption("--to <store>", "lmdb:PATH or etcd")
    .option("--force", "replace what the target holds; a store in a directory is kept beside it", false)
    .addHelpText(
      "after",
      `
Example:
  fairlead store copy --from lmdb:$HOME/.fairlead/store --to etcd --etcd-servers http://10.0.0.1:2379`,
    )
    .action(async (flags: StoreFlags & { from: string; to: string }) => {
      const at = { ...flags, dir: defaultDirectory };
      const [from, to] = [placeOf(at, flags.from), placeOf(at, flags.to)];
      if (flags.from === flags.to) throw new CliError("USAGE", "--from and --to are the same store");
      await (await transfer()).copy(from, to, flags.force ?? false, tell);
    });
  return new Command("store")
    .description("Look after the store, which holds everything that the cluster knows.")
    .addCommand(check)
    .addCommand(backup)
    .addCommand(restore)
    .addCommand(copy)
    .addHelpText("after", "\nExamples:\n  fairlead store check\n  fairlead store backup monday.backup");
}

const transfer = () => import("./store-transfer.ts");

async function checkStoreOf(flags: StoreFlags & { output: OutputFormat }): Promise<void> {
  const { output } = flags;
  const { settings, dir } = placeOf(flags);
  const path = storePath(settings, clusterDirectory(dir));
  if (settings.store === "etcd") return checkEtcdOf(settings, output);
  const exists = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!exists) throw new CliError("BAD_FILE", `there is no store at ${JSON.stringify(path)}`, "name it with --dir");
  const { checkStore, StoreError } = await import("../store/index.ts");
  const report = await checkStore(path).catch((error: unknown) => {
    if (!(error instanceof StoreError)) throw error;
    const code = error.code === "CORRUPT" ? "CORRUPT" : "FAILED";
    throw new CliError(code, error.message, undefined, { cause: error });
  });
  const { findings, ...figures } = report;
  if (output === "table") {
    process.stdout.write(
      table(
        ["WHAT", "HOW MANY"],
        Object.entries(figures).map(([k, v]) => [k, String(v)]),
      ),
    );
    for (const { at, problem } of findings) process.stdout.write(`damaged at ${at}: ${problem}\n`);
    if (findings.length === 0) process.stdout.write("The store is consistent.\n");
  } else {
    process.stdout.write(await render(report, output));
  }
  if (findings.length > 0) {
    throw new CliError("CORRUPT", `the store at ${JSON.stringify(path)} is damaged in ${findings.length} places`);
  }
}

async function checkEtcdOf(settings: StoreSettings, output: OutputFormat): Promise<void> {
  const { checkEtcd, StoreError } = await import("../store/index.ts");
  const report = await checkEtcd(await etcdOptions(settings)).catch((error: unknown) => {
    if (!(error instanceof StoreError)) throw error;
    throw new CliError("UNREACHABLE", error.message, "check --etcd-servers", { cause: error });
  });
  if (output === "table") {
    const rows = report.members.map((m) => [m.endpoint, m.version, String(m.led), String(m.bytes), String(m.revision)]);
    process.stdout.write(table(["MEMBER", "VERSION", "LED", "BYTES", "REVISION"], rows));
    process.stdout.write(`${report.keys} keys; history from revision ${report.compacted} to ${report.revision}\n`);
    for (const { at, problem } of report.findings) process.stdout.write(`${at}: ${problem}\n`);
  } else {
    process.stdout.write(await render(report, output));
  }
  if (report.findings.length > 0) throw new CliError("FAILED", `etcd is not well in ${report.findings.length} places`);
}
