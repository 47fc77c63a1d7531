import { stat } from "node:fs/promises";
import { Command, Option } from "commander";
import { clusterDirectory, defaultDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";
import { type OutputFormat, parseOutput, render, table } from "./output.ts";

interface CheckOptions {
  readonly dir: string;
  readonly path?: string;
  readonly output: OutputFormat;
}

export function storeCommand(): Command {
  const check = new Command("check")
    .description("Read every record of the store and verify that it is consistent. Changes nothing.")
    .option("--dir <dir>", "directory of the cluster", defaultDirectory)
    .option("--path <path>", "the store itself, where it is not in the cluster's directory")
    .addOption(new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput))
    .addHelpText(
      "after",
      `
It may run while the cluster runs. Exit code 12 says that the store is damaged; the findings say where.

Examples:
  fairlead store check
  fairlead store check --dir ./cluster -o json`,
    )
    .action(checkStoreOf);
  return new Command("store")
    .description("Look after the store, which holds everything that the cluster knows.")
    .addCommand(check)
    .addHelpText("after", "\nExample:\n  fairlead store check");
}

async function checkStoreOf({ dir, path = clusterDirectory(dir).store, output }: CheckOptions): Promise<void> {
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
