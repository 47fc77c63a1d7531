import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { systemCommands } from "../system/index.ts";
import { endAgents } from "./cluster/agents.ts";
import { endVips } from "./cluster/vip.ts";
import { ownRanges } from "./cluster/local-ranges.ts";
import { type ClusterDirectory, clusterDirectory, defaultDirectory } from "./directory.ts";
import { CliError, systemCodeOf } from "./errors.ts";
import { createNodeLan, lanName } from "./lan.ts";
import { endProcess } from "./process-file.ts";
import { readState } from "./state.ts";

export function downCommand(): Command {
  return new Command("down")
    .description("Stop a cluster: Fairlead, every pod, and what both have put into this machine's network.")
    .option("--dir <dir>", "directory of the cluster", defaultDirectory)
    .option("--delete", "also delete the directory, and with it everything that the cluster knows")
    .addHelpText(
      "after",
      `
What the cluster knows stays in its directory: the next \`fairlead up\` brings every object back and starts its pods.

Examples:
  fairlead down
  fairlead down --dir ./cluster --delete`,
    )
    .action(async ({ dir, delete: remove }: { dir: string; delete?: boolean }) => {
      const directory = clusterDirectory(dir);
      if (!existsSync(directory.root)) {
        throw new CliError(
          "NOT_RUNNING",
          `there is no cluster in ${JSON.stringify(directory.root)}`,
          "name it with --dir",
        );
      }
      await takeDown(directory, (line) => void process.stderr.write(`${line}\n`));
      if (remove) await rm(directory.root, { recursive: true, force: true, maxRetries: 5 });
      process.stdout.write(`The cluster in ${directory.root} is down${remove ? " and deleted" : ""}.\n`);
    });
}

/** Milliseconds that Fairlead gets to end by itself. */
const patience = 15_000;

/** Stops all of a cluster, whatever is left of it. Tells each step. Throws CliError NOT_PERMITTED when it is somebody else's. */
export async function takeDown(directory: ClusterDirectory, tell: (line: string) => void): Promise<void> {
  try {
    if (await endProcess(directory.pid, patience)) tell("stopped Fairlead");
    await endAgents(directory);
    await endVips(directory, systemCommands);
    const stopped = await stopPods(directory);
    if (stopped > 0) tell(`stopped the pods of ${stopped} ${stopped === 1 ? "node" : "nodes"}`);
    await clearNetwork(directory);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code !== "EPERM" && code !== "EACCES") throw error;
    const remedy = "run `fairlead down` as the user who brought it up";
    throw new CliError("NOT_PERMITTED", `the cluster in ${directory.root} belongs to another user`, remedy, {
      cause: error,
    });
  }
}

/** Directories of the nodes that ever ran in the cluster. */
async function nodeDirectories(directory: ClusterDirectory): Promise<string[]> {
  const names = await readdir(directory.kubelet).catch(() => []);
  return names.map((name) => join(directory.kubelet, name));
}

async function stopPods(directory: ClusterDirectory): Promise<number> {
  const { stopProcessRuntime } = await import("../kubelet/index.ts");
  const nodes = await nodeDirectories(directory);
  await Promise.all(nodes.map((dir) => stopProcessRuntime(dir)));
  return nodes.length;
}

/** Takes out of this machine's network what the cluster has put in. */
async function clearNetwork(directory: ClusterDirectory): Promise<void> {
  const state = await readState(directory);
  if (state?.network !== "namespaces") return;
  const { createBridgeNetwork } = await import("../kubelet/index.ts");
  const { removeProxy } = await import("../proxy/index.ts");
  const commands = systemCommands;
  for (const dir of await nodeDirectories(directory)) {
    await createBridgeNetwork({ dir, commands, virtualRanges: [] }).tearDown();
  }
  await removeProxy(commands);
  await ownRanges(commands, []);
  await createNodeLan(commands, lanName(directory.root)).tearDown();
}
