import { existsSync } from "node:fs";
import { Command } from "commander";
import { askProxy, ControlError, type ProxyStatus } from "../proxy/index.ts";
import { proxySocket } from "./cluster/node.ts";
import { clusterDirectory, defaultDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";
import { table } from "./output.ts";
import { defaultProxySettings } from "./proxy-settings.ts";
import type { ProxyMode } from "./settings.ts";
import { readState } from "./state.ts";

interface Where {
  readonly controlSocket?: string;
  readonly dir?: string;
  readonly node?: string;
}

const withPlace = (command: Command): Command =>
  command
    .option("--control-socket <path>", "of the proxy that runs (default: where `fairlead proxy` has it)")
    .option("--dir <dir>", "directory of a cluster that `fairlead up` runs: the proxies of its nodes")
    .option("--node <name>", "with --dir: of this node only");

export function switchCommand(): Command {
  return withPlace(
    new Command("switch")
      .description(
        "Switch a running proxy to another mode. The new rules are built beside the old ones and tried with packets before the old ones go; when they do not work, all stays as it was. Connections live on.",
      )
      .requiredOption("--to <mode>", "nftables, iptables or userspace"),
  )
    .addHelpText(
      "after",
      `
It holds until the proxy starts again: give the new mode to its --proxy-mode as well.

Examples:
  fairlead proxy switch --to nftables
  fairlead proxy switch --to iptables --dir ~/.fairlead --node node-2`,
    )
    .action(async ({ to, ...where }: Where & { readonly to: string }) => {
      if (!["nftables", "iptables", "userspace"].includes(to))
        throw new CliError("USAGE", `--to ${JSON.stringify(to)} is no mode`, "use nftables, iptables or userspace");
      for (const { name, path } of await socketsOf(where)) {
        const { mode } = await asked(path, to as ProxyMode);
        process.stdout.write(`${name}: Services are served by ${mode}\n`);
      }
    });
}

export function statusCommandOfProxy(): Command {
  return withPlace(new Command("status").description("Show the mode and state of a running proxy.")).action(
    async (where: Where) => {
      const rows: string[][] = [];
      for (const { name, path } of await socketsOf(where)) {
        const { mode, services, failure } = await asked(path);
        rows.push([name, mode, String(services), failure ?? "in force"]);
      }
      process.stdout.write(table(["PROXY", "MODE", "SERVICES", "RULES"], rows));
    },
  );
}

/** The sockets that are meant, each with a name for the user. */
async function socketsOf({ controlSocket, dir, node }: Where): Promise<{ name: string; path: string }[]> {
  if (controlSocket !== undefined) return [{ name: "proxy", path: controlSocket }];
  const own = defaultProxySettings.controlSocket;
  if (dir === undefined && existsSync(own)) return [{ name: "proxy", path: own }];
  const directory = clusterDirectory(dir ?? defaultDirectory);
  const state = await readState(directory);
  if (!state) {
    const remedy = "start one with `fairlead proxy` or `fairlead up`, or name its socket with --control-socket";
    throw new CliError("NOT_RUNNING", `there is no proxy at ${own}, and no cluster in ${directory.root}`, remedy);
  }
  // On loopback the nodes share one proxy.
  const nodes = state.network === "loopback" ? state.nodes.slice(0, 1) : state.nodes;
  if (node !== undefined && !nodes.includes(node))
    throw new CliError("USAGE", `there is no proxy of a node ${JSON.stringify(node)}`, `use ${nodes.join(", ")}`);
  return nodes
    .filter((name) => node === undefined || name === node)
    .map((name) => ({ name, path: proxySocket(directory, name) }));
}

async function asked(path: string, switchTo?: ProxyMode): Promise<ProxyStatus> {
  try {
    return await askProxy(path, switchTo === undefined ? {} : { switchTo });
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    if (error.reached) throw new CliError("REFUSED", error.message, "see the proxy's log", { cause: error });
    const remedy = "is it running, and are you the user who runs it?";
    throw new CliError("NOT_RUNNING", `no proxy answers at ${path}: ${error.message}`, remedy, { cause: error });
  }
}
