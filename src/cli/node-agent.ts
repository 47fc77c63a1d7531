import { setMaxListeners } from "node:events";
import { access, constants } from "node:fs/promises";
import { hostname } from "node:os";
import { Command, Option } from "commander";
import { createInformers } from "../client/index.ts";
import type { VipAgentOptions } from "../loadbalancer/index.ts";
import {
  createLogger,
  createMetrics,
  systemClock,
  systemCommands,
  type Component,
  type LogLevel,
} from "../system/index.ts";
import { CliError } from "./errors.ts";
import { clientFor } from "./loadbalancer.ts";
import { startStatusEndpoint } from "./status-endpoint.ts";

/** Options that the agents which announce addresses have in common. */
export interface NodeAgentOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly node: string;
  readonly dir: string;
  readonly healthUrl?: string;
  readonly metricsBindAddress?: string;
  readonly logLevel: LogLevel;
}

/** A command with the options of `NodeAgentOptions`. `dir` is the default of `--dir`, `program` whose files those are. */
export function nodeAgentCommand(name: string, { dir, program }: { dir: string; program: string }): Command {
  return new Command(name)
    .option(
      "--kubeconfig <file>",
      "how to reach the cluster (default: KUBECONFIG, ~/.kube/config, the pod's service account)",
    )
    .option("--context <name>", "context of the kubeconfig")
    .option(
      "--node <name>",
      "name of this node (default: NODE_NAME, else the host's name)",
      process.env["NODE_NAME"] ?? hostname(),
    )
    .option("--dir <dir>", `directory for ${program}'s files, kept over restarts`, dir)
    .option(
      "--health-url <url>",
      "give the addresses up while this does not answer 200, for example http://127.0.0.1:10256/healthz",
    )
    .option(
      "--metrics-bind-address <address>",
      "where /metrics, /healthz and /readyz are served, as 127.0.0.1:10259; not served by default",
    )
    .addOption(new Option("--log-level <level>", "debug, info, warn or error").default("info"));
}

/** Runs an agent until a signal ends it. Throws CliError. */
export async function runNodeAgent(
  options: NodeAgentOptions,
  program: NodeProgram,
  start: (given: Omit<VipAgentOptions, "release">) => Component,
): Promise<void> {
  await needProgram(program);
  const client = await clientFor(options);
  const log = createLogger({ level: options.logLevel });
  const stop = new AbortController();
  const { signal } = stop;
  setMaxListeners(0, signal);
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.on(name, () => stop.abort(new Error(`stopped by ${name}`)));
  process.on("unhandledRejection", (error) => log.error({ error: String(error) }, "a failure that nobody handled"));
  const { healthUrl, metricsBindAddress } = options;
  const metrics = createMetrics();
  const agent = start({
    client,
    informers: createInformers(client, { signal, log }),
    nodeName: options.node,
    dir: options.dir,
    commands: systemCommands,
    metrics,
    ...(healthUrl === undefined ? {} : { unhealthy: () => askHealth(healthUrl) }),
    signal,
    clock: systemClock,
    log,
  });
  let unready: string | undefined = "the agent has not begun";
  agent.ready.then(
    () => (unready = undefined),
    () => {},
  );
  const endpoint =
    metricsBindAddress === undefined
      ? undefined
      : await startStatusEndpoint({
          option: "--metrics-bind-address",
          at: metricsBindAddress,
          unready: () => unready,
          metrics,
        }).catch(async (error: unknown) => {
          stop.abort(error);
          await agent.stopped;
          throw error;
        });
  await agent.ready;
  await agent.stopped;
  endpoint?.close();
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

/** Programs that agents run, and the Debian package of each. */
const packages = { keepalived: "keepalived", bird: "bird2", "/usr/lib/frr/bgpd": "frr" } as const;
export type NodeProgram = keyof typeof packages;

/** Throws CliError when this is not root, or the program is nowhere in the PATH nor where its name says. */
export async function needProgram(program: NodeProgram): Promise<void> {
  if (process.getuid?.() !== 0) throw new CliError("NOT_PERMITTED", "addresses can only be announced by root");
  const folders = (process.env["PATH"] ?? "").split(":").concat("/usr/sbin", "/sbin");
  for (const file of program.startsWith("/") ? [program] : folders.map((folder) => `${folder}/${program}`)) {
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return;
  }
  throw new CliError("BAD_FILE", `${program} is not installed`, `install the package ${packages[program]}`);
}
