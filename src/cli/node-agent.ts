import { setMaxListeners } from "node:events";
import { access, constants } from "node:fs/promises";
import { createServer } from "node:http";
import { hostname } from "node:os";
import { Command, Option } from "commander";
import { createInformers } from "../client/index.ts";
import type { VipAgentOptions } from "../loadbalancer/index.ts";
import {
  createLogger,
  createMetrics,
  metricsType,
  systemClock,
  systemCommands,
  type Component,
  type Logger,
  type LogLevel,
  type Metrics,
} from "../system/index.ts";
import { CliError } from "./errors.ts";
import { clientFor } from "./loadbalancer.ts";

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
    .option("--metrics-bind-address <address>", "where /metrics is served, as 127.0.0.1:10259; not served by default")
    .addOption(new Option("--log-level <level>", "debug, info, warn or error").default("info"));
}

/** Runs an agent until a signal ends it. Throws CliError. */
export async function runNodeAgent(
  options: NodeAgentOptions,
  program: "keepalived" | "bird",
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
  if (metricsBindAddress !== undefined) await serveMetrics(metrics, metricsBindAddress, signal, log);
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

async function serveMetrics(metrics: Metrics, at: string, signal: AbortSignal, log: Logger): Promise<void> {
  const [, host, port] = /^\[?([0-9a-fA-F:.]+)\]?:(\d{1,5})$/.exec(at) ?? [];
  if (host === undefined || Number(port) > 65_535) {
    throw new CliError("USAGE", `--metrics-bind-address: ADDRESS:PORT is needed, not ${JSON.stringify(at)}`);
  }
  const server = createServer((request, response) => {
    if (request.method !== "GET" || request.url !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    metrics.text().then(
      (text) => void response.writeHead(200, { "content-type": metricsType }).end(text),
      (error: unknown) => {
        log.warn({ error: String(error) }, "the metrics cannot be told");
        response.writeHead(500).end();
      },
    );
  });
  signal.addEventListener("abort", () => void server.close(), { once: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(new CliError("USAGE", `--metrics-bind-address: ${at} cannot be listened on: ${error.message}`)),
    );
    server.listen(Number(port), host, resolve);
  });
  server.unref();
}

async function needProgram(program: "keepalived" | "bird"): Promise<void> {
  if (process.getuid?.() !== 0) throw new CliError("NOT_PERMITTED", "addresses can only be announced by root");
  for (const folder of (process.env["PATH"] ?? "").split(":").concat("/usr/sbin", "/sbin")) {
    const found = await access(`${folder}/${program}`, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return;
  }
  const name = program === "bird" ? "bird2" : program;
  throw new CliError("BAD_FILE", `${program} is not installed`, `install the package ${name}`);
}
