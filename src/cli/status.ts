import { Command, Option } from "commander";
import { type Exposure, exposures } from "../explain/index.ts";
import { exposureOptions } from "./explain/facts.ts";
import { readGatewayMeaning } from "./explain/gateways.ts";
import { readCluster, type SourceOptions, withSource } from "./explain/source.ts";
import { type OutputFormat, parseOutput, render, table } from "./output.ts";

interface StatusOptions extends SourceOptions {
  readonly namespace?: string;
  readonly output: OutputFormat;
}

export function statusCommand(): Command {
  const command = new Command("status")
    .description(
      "Show what is exposed: every address and name it answers on, how many endpoints are ready,\nand for what cannot be reached the reason.",
    )
    .option("-n, --namespace <name>", "only this namespace (default: all)")
    .addOption(new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput));
  return withSource(command)
    .addHelpText(
      "after",
      `
READY is ready/all endpoints. A line under a row says why it cannot be reached, and what would put it right.

Examples:
  fairlead status
  fairlead status -n shop
  fairlead status --kubeconfig ~/.kube/config
  fairlead status -o json | jq -r '.[] | select(.reason) | .name + ": " + .reason'`,
    )
    .action(showStatus);
}

async function showStatus({ namespace, output, ...where }: StatusOptions): Promise<void> {
  const { cluster, source, warnings } = await readCluster(where);
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  const gateways = source.client && (await readGatewayMeaning(source.client, cluster));
  const rows = exposures(cluster.objects, {
    ...(await exposureOptions(source)),
    ...(gateways ? { gateways } : {}),
  }).filter((row) => namespace === undefined || row.namespace === namespace);
  process.stdout.write(output === "table" ? statusTable(rows) : await render(rows, output));
}

/** One table: a row for each way, further addresses and names beneath, and under it the reason where there is one. */
export function statusTable(rows: readonly Exposure[]): string {
  if (rows.length === 0) return "Nothing is exposed yet. Try: kubectl expose deployment NAME --port=80\n";
  const header = ["NAMESPACE", "NAME", "WAY", "ADDRESS", "DNS NAME OR HOST", "READY"];
  const lines: { cells: string[]; reason?: string }[] = [];
  for (const { namespace, kind, name, way, addresses, names, endpoints, reason } of rows) {
    const ready = endpoints ? `${endpoints.ready}/${endpoints.total}` : "-";
    const count = Math.max(1, addresses.length, names.length);
    for (let i = 0; i < count; i++) {
      const first = i === 0 ? [namespace, `${kind.toLowerCase()}/${name}`, way] : ["", "", ""];
      const none = i === 0 ? "-" : "";
      lines.push({ cells: [...first, addresses[i] ?? none, names[i] ?? none, i === 0 ? ready : ""] });
    }
    const last = lines.at(-1);
    if (last && reason !== undefined) last.reason = reason;
  }
  const [head = "", ...body] = table(
    header,
    lines.map(({ cells }) => cells),
  ).split("\n");
  const printed = lines.flatMap(({ reason }, i) => [
    body[i] ?? "",
    ...(reason === undefined ? [] : [`  └ not reachable: ${reason}`]),
  ]);
  return `${[head, ...printed].join("\n")}\n`;
}
