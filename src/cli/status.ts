import { Command, Option } from "commander";
import { announcementsIn, type Exposure, exposures, type Holding, some } from "../explain/index.ts";
import { since } from "../kube/index.ts";
import { systemClock } from "../system/index.ts";
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
      "Show what is exposed: every address and name it answers on, who holds the address now, how many endpoints\nare ready, and for what cannot be reached the reason.",
    )
    .option("-n, --namespace <name>", "only this namespace (default: all)")
    .addOption(new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput));
  return withSource(command)
    .addHelpText(
      "after",
      `
READY is ready/all endpoints. HELD BY is there where addresses are announced or come from a provider: the nodes that say that they hold the
address, or that routers say they lead it to, or the provider, and for how long. A line under a row says why it cannot be reached, and what would put it right.

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
  const now = systemClock.now();
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  const gateways = source.client && (await readGatewayMeaning(source.client, cluster));
  const rows = exposures(cluster.objects, {
    ...(await exposureOptions(source)),
    ...(gateways ? { gateways } : {}),
    announcement: announcementsIn(cluster, now),
  }).filter((row) => namespace === undefined || row.namespace === namespace);
  process.stdout.write(output === "table" ? statusTable(rows, now) : await render(rows, output));
}

/**
 * One table: a row for each way, further addresses and names beneath, and under it the reason where there is one. Who holds addresses has a column
 * where that is known of any. `now`: milliseconds since the epoch.
 */
export function statusTable(rows: readonly Exposure[], now: number): string {
  if (rows.length === 0) return "Nothing is exposed yet. Try: kubectl expose deployment NAME --port=80\n";
  const isHeld = rows.some(({ held }) => held !== undefined);
  const withHolder = (cells: readonly string[], holder: string) =>
    isHeld ? [...cells.slice(0, 4), holder, ...cells.slice(4)] : [...cells];
  const header = withHolder(["NAMESPACE", "NAME", "WAY", "ADDRESS", "DNS NAME OR HOST", "READY"], "HELD BY");
  const lines: { cells: string[]; reason?: string }[] = [];
  for (const { namespace, kind, name, way, addresses, names, endpoints, reason, held = [] } of rows) {
    const ready = endpoints ? `${endpoints.ready}/${endpoints.total}` : "-";
    const count = Math.max(1, addresses.length, names.length);
    for (let i = 0; i < count; i++) {
      const first = i === 0 ? [namespace, `${kind.toLowerCase()}/${name}`, way] : ["", "", ""];
      const none = i === 0 ? "-" : "";
      const cells = [...first, addresses[i] ?? none, names[i] ?? none, i === 0 ? ready : ""];
      // Once an address, though it answers on many ports.
      const holding = held.find(({ address }) => addresses.findIndex((one) => isAt(one, address)) === i);
      lines.push({ cells: withHolder(cells, holding ? holdingText(holding, now) : held.length > 0 ? "" : none) });
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

/** Whether `10.97.0.1:80/TCP` is of an address. */
const isAt = (place: string, address: string) => place.startsWith(`${address}:`) || place.startsWith(`[${address}]:`);

/** Nodes that are named at most. */
const most = 3;

function holdingText({ by, holders, since: begun, isSilent }: Holding, now: number): string {
  const more = [
    ...(by === "provider" ? [] : [by]),
    ...(begun === undefined ? [] : [since(begun, now)]),
    ...(isSilent ? ["not heard of"] : []),
  ];
  return `${some(holders, most) || "nobody"}${more.length > 0 ? ` (${more.join(", ")})` : ""}`;
}
