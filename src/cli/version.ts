import { readFile } from "node:fs/promises";
import { Command, Option } from "commander";
import { parseOutput, render } from "./output.ts";

/** Fairlead's version, from its package. */
export async function packageVersion(): Promise<string> {
  const text = await readFile(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

export function versionCommand(): Command {
  return new Command("version")
    .description("Print the version of Fairlead and of the Node.js that runs it.")
    .addOption(new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput))
    .addHelpText("after", "\nExample:\n  fairlead version -o json")
    .action(async (options: { output: ReturnType<typeof parseOutput> }) => {
      const version = { fairlead: await packageVersion(), node: process.versions.node };
      process.stdout.write(
        options.output === "table"
          ? `fairlead ${version.fairlead} (Node.js ${version.node})\n`
          : await render(version, options.output),
      );
    });
}
