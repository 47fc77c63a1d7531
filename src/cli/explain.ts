import { Command, Option } from "commander";
import { parseSubject, type Story, tell } from "../explain/index.ts";
import { doctorText } from "./doctor.ts";
import { readDraining } from "./explain/draining.ts";
import { exposureOptions, readFacts } from "./explain/facts.ts";
import { asCliError, readCluster, type SourceOptions, withSource } from "./explain/source.ts";
import { parseTextFormat, render, type TextFormat } from "./output.ts";

interface ExplainOptions extends SourceOptions {
  readonly namespace: string;
  readonly output: TextFormat;
}

export function explainCommand(): Command {
  const command = new Command("explain")
    .description("Tell the whole way: name, addresses, data path, endpoints, health, last change, and why not.")
    .argument("<object>", "service/NAME, ingress/NAME, gateway/NAME, httproute/NAME (and the other routes) or pod/NAME")
    .option("-n, --namespace <name>", "its namespace", "default")
    .addOption(new Option("-o, --output <format>", "text, json or yaml").default("text").argParser(parseTextFormat));
  return withSource(command)
    .addHelpText(
      "after",
      `
The first cause is what has to be put right first. \`fairlead doctor\` looks at everything at once.

Examples:
  fairlead explain service/web -n shop
  fairlead explain ingress/shop -n shop
  fairlead explain httproute/shop -n shop
  fairlead explain pod/web-0 -n shop -o json`,
    )
    .action(explainObject);
}

async function explainObject(text: string, options: ExplainOptions): Promise<void> {
  try {
    const { story, warnings } = await readStory(text, options);
    for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
    process.stdout.write(options.output === "text" ? storyText(story) : await render(story, options.output));
  } catch (error) {
    throw asCliError(error);
  }
}

/** The way of one object of a cluster, and what could not be read. Throws ExplainError and CliError. */
export async function readStory(
  text: string,
  options: SourceOptions & { readonly namespace: string },
): Promise<{ readonly story: Story; readonly warnings: readonly string[] }> {
  const subject = parseSubject(text, options.namespace);
  const read = await readCluster(options);
  const { draining, warnings } =
    subject.kind === "service" ? await readDraining(read.source) : { draining: [], warnings: [] };
  const story = tell(await readFacts(read), subject, { ...(await exposureOptions(read.source)), draining });
  return { story, warnings: [...read.warnings, ...warnings] };
}

/** A chapter a block, its title in the first column; what is wrong at the end. */
export function storyText({ object, chapters, findings }: Story): string {
  const width = Math.max(...chapters.map(({ title }) => title.length));
  const lines = chapters.flatMap(({ title, lines: said }) =>
    said.map((line, i) => `${(i === 0 ? title : "").padEnd(width)}  ${line}`),
  );
  const [first] = findings;
  const end = first
    ? `\n${doctorText(findings)}\nFirst cause: ${first.problem}\n`
    : "\nNothing is wrong, as far as can be seen.\n";
  return `${object}\n\n${lines.join("\n")}\n${end}`;
}
