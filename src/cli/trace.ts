import { Command, Option } from "commander";
import {
  type Assumption,
  type Cluster,
  compareLive,
  type Comparison,
  nodeAddresses,
  type PacketTrace,
  parseReference,
  parseTarget,
  tracePacket,
} from "../explain/index.ts";
import { systemCommands } from "../system/index.ts";
import { comparisonText, packetTraceText } from "./explain/packet-text.ts";
import { asCliError, readCluster, type SourceOptions, withSource } from "./explain/source.ts";
import { requestCommand } from "./explain/trace-request.ts";
import { parseTextFormat, render, type TextFormat } from "./output.ts";

interface PacketOptions extends SourceOptions {
  readonly from: string;
  readonly to: string;
  readonly node?: string;
  readonly namespace: string;
  readonly output: TextFormat;
  readonly live?: boolean;
}

export function traceCommand(): Command {
  return new Command("trace")
    .description("Follow a packet or a request, and say at each step which object and field decided.")
    .addCommand(packetCommand())
    .addCommand(requestCommand());
}

function packetCommand(): Command {
  const command = new Command("packet")
    .description("Say what happens to the first packet of a connection, and why.")
    .requiredOption("--from <client>", "address, pod/NAMESPACE/NAME, node/NAME, service/NAMESPACE/NAME or outside")
    .requiredOption("--to <destination>", "the same, or a DNS name; with :PORT and perhaps /udp or /sctp")
    .option("--node <name>", "the node whose proxy decides (default: where the client is)")
    .option("-n, --namespace <name>", "namespace of names that have none", "default")
    .option("--live", "make the connection and compare with the kernel (root, on the node's machine)")
    .addOption(new Option("-o, --output <format>", "text, json or yaml").default("text").argParser(parseTextFormat));
  return withSource(command)
    .addHelpText(
      "after",
      `
A port can be left out where a Service has only one, and may be given by its name.
Verdicts: FORWARD to one of the endpoints; DIRECT to the address itself; REJECT, the client is told at once; DROP, silence; ALIAS,
DNS gives another name; NOT OURS, the proxy has nothing to do with it.

Examples:
  fairlead trace packet --from pod/shop/web-0 --to service/shop/api:80
  fairlead trace packet --from outside --to service/shop/web --node node-2
  fairlead trace packet --from node/node-1 --to 10.96.0.10:53/udp
  fairlead trace packet --from pod/shop/web-0 --to api:http -o json
  fairlead trace packet -f shop.yaml --from outside --to service/shop/web
  fairlead trace packet --from pod/shop/web-0 --to service/shop/api:80 --live

With --live the exit code is 1 where the kernel does something else than the model says.`,
    )
    .action(tracePackets);
}

async function tracePackets(options: PacketOptions): Promise<void> {
  try {
    // What cannot be read is told before the cluster is asked.
    const from = parseReference(options.from, options.namespace);
    const to = parseTarget(options.to, options.namespace);
    const { cluster, assumptions, warnings } = await readCluster(options);
    const trace = tracePacket(cluster, { from, to, ...(options.node ? { node: options.node } : {}) });
    for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
    const live = options.live ? await compare(trace, cluster) : undefined;
    // As diff has it: 1 where there is a difference.
    if (live?.agrees === false) process.exitCode = 1;
    if (options.output !== "text") {
      const whole = { ...trace, assumptions: assumptions.map(({ text }) => text), ...(live ? { live } : {}) };
      process.stdout.write(await render(whole, options.output));
      return;
    }
    process.stdout.write(packetTraceText(trace) + (live ? comparisonText(live) : ""));
    const told = objectsOf(trace);
    const relevant = assumptions.filter(({ objects }) => objects.some((object) => told.has(object)));
    if (relevant.length > 0) process.stdout.write(`\nAssumed, as files do not say it:\n${bullets(relevant)}`);
  } catch (error) {
    throw asCliError(error);
  }
}

function compare(trace: PacketTrace, cluster: Cluster): Promise<Comparison> {
  const node = cluster.node(trace.node);
  return compareLive(trace, { commands: systemCommands, nodeAddresses: node ? nodeAddresses(node) : [] });
}

const bullets = (lines: readonly Assumption[]): string => lines.map(({ text }) => `  - ${text}\n`).join("");

/** The objects that a trace speaks of. */
function objectsOf({ hops, endpoints, node }: PacketTrace): ReadonlySet<string> {
  return new Set([
    `Node ${node}`,
    ...hops.flatMap(({ owner }) => owner?.object ?? []),
    ...endpoints.flatMap(({ pod }) => (pod ? `Pod ${pod}` : [])),
  ]);
}
