import { Command, Option } from "commander";
import { askConnections, askProxy, type ProxyStatus, type ServiceConnection } from "../proxy/index.ts";
import { isAnswered } from "../system/index.ts";
import { proxySocket } from "./cluster/node.ts";
import { clusterDirectory, defaultDirectory } from "./directory.ts";
import { throughSocket } from "./control-socket.ts";
import { CliError } from "./errors.ts";
import { parseOutput, render, table, type OutputFormat } from "./output.ts";
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
  return withPlace(
    new Command("status").description(
      "Show the mode and state of a running proxy, and how many connections are left to endpoints that were taken out.",
    ),
  )
    .addOption(outputOption())
    .action(async ({ output, ...where }: Where & Output) => {
      const all: (ProxyStatus & { readonly proxy: string })[] = [];
      for (const { name, path } of await socketsOf(where)) all.push({ proxy: name, ...(await asked(path)) });
      if (output !== "table") {
        process.stdout.write(await render(all, output));
        return;
      }
      const rows = all.map(({ proxy, mode, services, failure }) => [
        proxy,
        mode,
        String(services),
        failure ?? "in force",
      ]);
      process.stdout.write(table(["PROXY", "MODE", "SERVICES", "RULES"], rows));
      const draining = all.flatMap((one) =>
        one.draining.map(({ service, endpoint, connections, seconds }) => [
          one.proxy,
          service,
          endpoint,
          String(connections),
          `${seconds}s`,
        ]),
      );
      if (draining.length > 0)
        process.stdout.write(`\n${table(["PROXY", "DRAINING", "ENDPOINT", "CONNECTIONS LEFT", "SINCE"], draining)}`);
    });
}

/** Lines of connections that are shown. */
const shown = 1_000;

export function connectionsCommand(): Command {
  return withPlace(new Command("connections").description("List the TCP connections to Services that go by a proxy."))
    .option("--service <name>", "of one Service: NAMESPACE/NAME, or NAME in the namespace default")
    .addOption(outputOption())
    .addHelpText(
      "after",
      `
In userspace mode age and bytes are known; in the other modes the kernel counts bytes where net.netfilter.nf_conntrack_acct is 1.

Examples:
  fairlead proxy connections --service default/web
  fairlead proxy connections --dir ~/.fairlead --node node-2 -o json`,
    )
    .action(async ({ service, output, ...where }: Where & Output & { readonly service?: string }) => {
      const key = service === undefined || service.includes("/") ? service : `default/${service}`;
      const all: (ServiceConnection & { readonly proxy: string })[] = [];
      for (const { name, path } of await socketsOf(where))
        for (const one of await reached(path, () => askConnections(path, key))) all.push({ proxy: name, ...one });
      if (output !== "table") {
        process.stdout.write(await render(all, output));
        return;
      }
      const number = (value: number | undefined, unit = "") => (value === undefined ? "-" : `${value}${unit}`);
      const rows = all
        .slice(0, shown)
        .map((one) => [
          one.proxy,
          one.service,
          one.client,
          one.frontend,
          one.endpoint,
          number(one.seconds, "s"),
          number(one.received),
          number(one.sent),
        ]);
      const head = ["PROXY", "SERVICE", "CLIENT", "FRONTEND", "ENDPOINT", "AGE", "RECEIVED", "SENT"];
      process.stdout.write(table(head, rows));
      if (all.length > shown) process.stdout.write(`and ${all.length - shown} more: -o json has them\n`);
    });
}

interface Output {
  readonly output: OutputFormat;
}

const outputOption = (): Option =>
  new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput);

/** The sockets that are meant, each with a name for the user. Throws `CliError` NOT_RUNNING where there is none. */
export async function socketsOf({ controlSocket, dir, node }: Where): Promise<{ name: string; path: string }[]> {
  if (controlSocket !== undefined) return [{ name: "proxy", path: controlSocket }];
  const own = defaultProxySettings.controlSocket;
  if (dir === undefined && (await isAnswered(own))) return [{ name: "proxy", path: own }];
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

function asked(path: string, switchTo?: ProxyMode): Promise<ProxyStatus> {
  return reached(path, () => askProxy(path, switchTo === undefined ? {} : { switchTo }));
}

function reached<T>(path: string, ask: () => Promise<T>): Promise<T> {
  return throughSocket("proxy", path, ask);
}
