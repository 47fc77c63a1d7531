import { setMaxListeners } from "node:events";
import { readFile } from "node:fs/promises";
import { Command } from "commander";
import type { KeyPair } from "../apiserver/index.ts";
import { createHttpClient, createInformers } from "../client/index.ts";
import type { ServerCredentials } from "../kubelet/index.ts";
import { systemClock, systemCommands } from "../system/index.ts";
import type { Capabilities } from "./capabilities.ts";
import { addressPlan, type ChosenRanges } from "./cluster/addresses.ts";
import { agentFiles } from "./cluster/agents.ts";
import { startNodeKubelet, startNodeProxy } from "./cluster/node.ts";
import { startNodeVip } from "./cluster/vip.ts";
import { clusterDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";
import { openLog } from "./log.ts";
import { takeProcessFile } from "./process-file.ts";

/** What `fairlead up` tells the agent of a further node. */
export interface AgentConfig {
  readonly number: number;
  /** How many nodes the cluster has. */
  readonly nodes: number;
  /** All addresses of the node, the primary one first. */
  readonly addresses: readonly string[];
  /** The ranges that the user chose. */
  readonly chosen: ChosenRanges;
  /** URL of the API. */
  readonly server: string;
  readonly ca: string;
  /** The node's identity. */
  readonly client: KeyPair;
  /** The Service proxy's: it sees Services and nodes, as no node may. */
  readonly proxyClient: KeyPair;
  /** Who holds addresses. Absent: nobody on this node. */
  readonly vipClient?: KeyPair;
  readonly credentials: ServerCredentials;
  readonly proxyMode: Capabilities["proxyMode"];
  readonly virtualRanges: readonly string[];
  readonly images: Readonly<Record<string, readonly string[]>>;
}

export function agentCommand(): Command {
  return new Command("agent")
    .description(
      "Run kubelet and proxy of one further node, in the network namespace this is started in. `up` starts it.",
    )
    .requiredOption("--dir <dir>", "directory of the cluster")
    .requiredOption("--node <name>", "name of the node")
    .addHelpText(
      "after",
      "\nExample:\n  nsenter --net=/run/netns/fairlead-node-1f0c7a52-2 fairlead agent --dir ~/.fairlead --node node-2",
    )
    .action(agent);
}

async function agent({ dir, node }: { dir: string; node: string }): Promise<void> {
  const directory = clusterDirectory(dir);
  const files = agentFiles(directory, node);
  const text = await readFile(files.config, "utf8").catch((error: unknown) => {
    throw new CliError(
      "BAD_FILE",
      `${files.config} cannot be read: ${String(error)}`,
      "is this started by `fairlead up`?",
    );
  });
  const config = JSON.parse(text) as AgentConfig;
  const taken = await takeProcessFile(files.process);
  if ("holder" in taken)
    throw new CliError("ALREADY_RUNNING", `the agent of ${node} already runs (process ${taken.holder})`);

  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.on(name, () => stop.abort(new Error(`stopped by ${name}`)));
  const log = openLog(files.log, () => {});
  process.on("unhandledRejection", (error) => log.error({ error }, "a failure that nobody handled"));
  process.on("uncaughtException", (error) => log.error({ error }, "an error that nobody caught"));

  const clientAs = ({ cert, key }: KeyPair) =>
    createHttpClient({ server: config.server, ca: config.ca, credentials: { certificate: cert, key } });
  const client = clientAs(config.client);
  const proxyClient = clientAs(config.proxyClient);
  const { signal } = stop;
  const options = {
    directory,
    client,
    proxyClient,
    signal,
    log,
    clock: systemClock,
    commands: systemCommands,
    informers: createInformers(proxyClient, {
      signal,
      log,
    }),
    number: config.number,
    plan: addressPlan("namespaces", config.nodes, config.chosen),
    capabilities: {
      network: "namespaces",
      proxyMode: config.proxyMode,
    } as const,
    virtualRanges: config.virtualRanges,
    images: config.images,
    credentials: config.credentials,
  };
  const vips = config.vipClient && clientAs(config.vipClient);
  const vip = vips && startNodeVip({ ...options, client: vips, informers: createInformers(vips, { signal, log }) });
  const parts = [startNodeKubelet(options), startNodeProxy(options, config.addresses), ...(vip ? [vip] : [])];
  await Promise.all(parts.map(({ stopped }) => stopped));
  await taken.giveBack();
}
