import { setMaxListeners } from "node:events";
import { access, constants } from "node:fs/promises";
import { hostname } from "node:os";
import { Command, Option } from "commander";
import { createInformers } from "../client/index.ts";
import { startVipAgent } from "../loadbalancer/index.ts";
import { createLogger, systemClock, systemCommands, type LogLevel } from "../system/index.ts";
import { CliError } from "./errors.ts";
import { clientFor } from "./loadbalancer.ts";

interface Options {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly node: string;
  readonly dir: string;
  readonly healthUrl?: string;
  readonly releaseVips: boolean;
  readonly logLevel: LogLevel;
}

export function vipCommand(): Command {
  return new Command("vip")
    .description(
      "Hold addresses of Services on this node by VRRP, on any cluster. Run it on every node that may hold them, as root.",
    )
    .option(
      "--kubeconfig <file>",
      "how to reach the cluster (default: KUBECONFIG, ~/.kube/config, the pod's service account)",
    )
    .option("--context <name>", "context of the kubeconfig")
    .option("--node <name>", "name of this node (default: NODE_NAME, else the host's name)", defaultNode())
    .option("--dir <dir>", "directory for keepalived's files, kept over restarts", "/run/fairlead-vip")
    .option(
      "--health-url <url>",
      "give the addresses up while this does not answer 200, for example http://127.0.0.1:10256/healthz",
    )
    .option("--no-release-vips", "leave keepalived and its addresses as they are when this ends")
    .addOption(new Option("--log-level <level>", "debug, info, warn or error").default("info"))
    .addHelpText(
      "after",
      `
Addresses are those of AddressPools with spec.announce.protocol VRRP; \`fairlead loadbalancer\` gives them to Services. keepalived is needed.

Examples:
  fairlead vip --kubeconfig /etc/fairlead/kubeconfig --node node-1
  fairlead vip --health-url http://127.0.0.1:10256/healthz`,
    )
    .action(run);
}

const defaultNode = () => process.env["NODE_NAME"] ?? hostname();

async function run(options: Options): Promise<void> {
  await needKeepalived();
  const client = await clientFor(options);
  const log = createLogger({ level: options.logLevel });
  const stop = new AbortController();
  const { signal } = stop;
  setMaxListeners(0, signal);
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.on(name, () => stop.abort(new Error(`stopped by ${name}`)));
  process.on("unhandledRejection", (error) => log.error({ error: String(error) }, "a failure that nobody handled"));
  const { healthUrl } = options;
  const agent = startVipAgent({
    client,
    informers: createInformers(client, { signal, log }),
    nodeName: options.node,
    dir: options.dir,
    commands: systemCommands,
    release: options.releaseVips,
    ...(healthUrl === undefined ? {} : { unhealthy: () => askHealth(healthUrl) }),
    signal,
    clock: systemClock,
    log,
  });
  await agent.ready;
  await agent.stopped;
}

/** Why the data plane does not say that it is well. */
async function askHealth(url: string): Promise<string | undefined> {
  try {
    const { status } = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    return status === 200 ? undefined : `${url} answers ${status}`;
  } catch (error) {
    const { cause } = error as Error;
    return `${url} does not answer: ${cause instanceof Error ? cause.message : String(error)}`;
  }
}

async function needKeepalived(): Promise<void> {
  if (process.getuid?.() !== 0) throw new CliError("NOT_PERMITTED", "addresses can only be held by root");
  for (const folder of (process.env["PATH"] ?? "").split(":").concat("/usr/sbin", "/sbin")) {
    const found = await access(`${folder}/keepalived`, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return;
  }
  throw new CliError("BAD_FILE", "keepalived is not installed", "install the package keepalived");
}
