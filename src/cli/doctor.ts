import { Command, Option } from "commander";
import { checks, examine, type Finding } from "../explain/index.ts";
import { readFacts } from "./explain/facts.ts";
import { asCliError, readCluster, type SourceOptions, withSource } from "./explain/source.ts";
import { type OutputFormat, parseOutput, render } from "./output.ts";

interface DoctorOptions extends SourceOptions {
  readonly namespace?: string;
  readonly output: OutputFormat;
  readonly list?: boolean;
}

export function doctorCommand(): Command {
  const command = new Command("doctor")
    .description(
      "Look for what keeps traffic from where it should go: each fault with its evidence and what puts it right.",
    )
    .option("-n, --namespace <name>", "only objects of this namespace, and nodes")
    .option("--list", "print the checks, and look at nothing")
    .addOption(new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput));
  return withSource(command)
    .addHelpText(
      "after",
      `
Errors come first, causes before what follows from them. Nodes are looked at where they are on this machine.
Exit code: 0 when there is no error, 1 when there is, above 1 when it could not be looked.

Examples:
  fairlead doctor
  fairlead doctor -n shop -o json | jq -r '.[] | .object + ": " + .problem'
  fairlead doctor -f manifests/        before anything is applied
  fairlead doctor --kubeconfig ~/.kube/config`,
    )
    .action(diagnose);
}

async function diagnose(options: DoctorOptions): Promise<void> {
  if (options.list) {
    process.stdout.write(checks.map(({ code, about, reads }) => `${code}\n    ${about} (${reads})\n`).join(""));
    return;
  }
  try {
    const read = await readCluster(options);
    for (const warning of read.warnings) process.stderr.write(`warning: ${warning}\n`);
    const all = examine(await readFacts(read));
    const { namespace } = options;
    const findings = all.filter(
      ({ object }) => namespace === undefined || !object.includes("/") || object.includes(` ${namespace}/`),
    );
    process.stdout.write(options.output === "table" ? doctorText(findings) : await render(findings, options.output));
    if (findings.some(({ severity }) => severity === "error")) process.exitCode = 1;
  } catch (error) {
    throw asCliError(error);
  }
}

/** A block for each finding: what is wrong, what was seen, what to do. */
export function doctorText(findings: readonly Finding[]): string {
  if (findings.length === 0) return "Nothing is wrong, as far as can be seen.\n";
  const blocks = findings.map(({ severity, check, object, field, problem, evidence, remedy }) =>
    [
      `${severity === "error" ? "ERROR  " : "WARNING"} ${object}${field ? `: ${field}` : ""} (${check})`,
      `        ${problem}`,
      ...evidence.map((line) => `        - ${line}`),
      `        => ${remedy}`,
    ].join("\n"),
  );
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const warnings = findings.length - errors;
  return `${blocks.join("\n\n")}\n\n${count(errors, "error")}, ${count(warnings, "warning")}\n`;
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;
