import { setMaxListeners } from "node:events";
import { hostname } from "node:os";
import { Command, Option } from "commander";
import {
  ClientError,
  createHttpClient,
  createInformers,
  loadKubeconfig,
  startLeaderElection,
  type Client,
} from "../client/index.ts";
import { addressClaims, PoolError, reservationsCsv, reservationsOf } from "../loadbalancer/index.ts";
import { createLogger, systemClock, systemCommands, type LogLevel } from "../system/index.ts";
import { CliError } from "./errors.ts";

const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

interface Options {
  readonly kubeconfig?: string;
  readonly context?: string;
}

export function loadbalancerCommand(): Command {
  const command = new Command("loadbalancer")
    .description(
      "Give Services of type LoadBalancer addresses that never change, on any cluster.\nRun it once or more often: one of them leads.",
    )
    .option(
      "--kubeconfig <file>",
      "how to reach the cluster (default: KUBECONFIG, ~/.kube/config, the pod's service account)",
    )
    .option("--context <name>", "context of the kubeconfig")
    .option("--pool <range>", "addresses beside the AddressPools: a CIDR or FIRST-LAST; may be repeated", collect)
    .option("--no-probe", "do not ask the network whether an address is in use before it is given")
    .option("--leader-elect-namespace <namespace>", "namespace of the Lease", "kube-system")
    .addOption(new Option("--log-level <level>", "debug, info, warn or error").default("info"))
    .addHelpText(
      "after",
      `
It puts the definitions AddressPool and AddressClaim (fairlead.dev) there if it may. Pools come from AddressPools, from MetalLB's
IPAddressPools where those are defined, and from --pool.

Examples:
  fairlead loadbalancer --kubeconfig ~/.kube/config --pool 192.0.2.10-192.0.2.20
  fairlead loadbalancer reservations -o csv > firewall.csv`,
    )
    .action((options: Options & RunOptions) => run(options));
  command
    .command("reservations")
    .description("List what is reserved, a line an address and port: for those who look after firewalls.")
    .addOption(new Option("-o, --output <format>", "csv or json").choices(["csv", "json"]).default("csv"))
    .addHelpText("after", "\nExample:\n  fairlead loadbalancer --kubeconfig FILE reservations -o json")
    .action((options: { output: string }) => reservations({ ...command.opts<Options>(), ...options }));
  return command;
}

interface RunOptions {
  readonly pool?: readonly string[];
  readonly probe: boolean;
  readonly leaderElectNamespace: string;
  readonly logLevel: LogLevel;
}

/** A client for the cluster that a kubeconfig names. Throws CliError. */
export async function clientFor({ kubeconfig, context }: Options): Promise<Client> {
  try {
    const config = await loadKubeconfig({
      ...(kubeconfig === undefined ? {} : { path: kubeconfig }),
      ...(context === undefined ? {} : { context }),
    });
    return createHttpClient(config);
  } catch (error) {
    if (error instanceof ClientError) throw new CliError("BAD_FILE", error.message, undefined, { cause: error });
    throw error;
  }
}

async function run(options: Options & RunOptions): Promise<void> {
  const client = await clientFor(options);
  const { createNeighbourProbe, startLoadBalancer } = await import("../loadbalancer/index.ts");
  const log = createLogger({ level: options.logLevel });
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => stop.abort(new Error(`stopped by ${name}`)));
  }
  const pools = options.pool ?? [];
  const clock = systemClock;
  const lead = async (signal: AbortSignal) => {
    setMaxListeners(0, signal);
    const informers = createInformers(client, { signal, log });
    const probe = options.probe ? { probe: createNeighbourProbe(systemCommands, clock) } : {};
    const part = startLoadBalancer({ client, informers, pools, ...probe, signal, clock, log });
    part.ready.catch((error: unknown) => log.error({ error: String(error) }, "the load balancer does not start"));
    await part.stopped;
  };
  try {
    const { parsePools } = await import("../loadbalancer/index.ts");
    parsePools(pools);
  } catch (error) {
    if (error instanceof PoolError) throw new CliError("USAGE", `--pool: ${error.message}`);
    throw error;
  }
  await startLeaderElection({
    client,
    clock,
    log,
    signal: stop.signal,
    lease: { namespace: options.leaderElectNamespace, name: "fairlead-loadbalancer" },
    identity: `${hostname()}_${process.pid}`,
    lead,
  }).stopped;
}

async function reservations(options: Options & { readonly output: string }): Promise<void> {
  const client = await clientFor(options);
  const { items } = await client.list(addressClaims);
  const lines = reservationsOf(items);
  process.stdout.write(options.output === "json" ? `${JSON.stringify(lines, null, 2)}\n` : reservationsCsv(lines));
}
