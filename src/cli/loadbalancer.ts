import { setMaxListeners } from "node:events";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { Command, Option } from "commander";
import { parse } from "yaml";
import {
  ClientError,
  createHttpClient,
  createInformers,
  loadKubeconfig,
  startLeaderElection,
  type Client,
} from "../client/index.ts";
import {
  addressClaims,
  loadProvider,
  PoolError,
  reservationsCsv,
  reservationsOf,
  type LoadBalancerProvider,
} from "../loadbalancer/index.ts";
import { createLogger, createMetrics, systemClock, systemCommands, type LogLevel } from "../system/index.ts";
import { CliError } from "./errors.ts";
import { startStatusEndpoint } from "./status-endpoint.ts";

const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

interface Options {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** URL of the API, over what the kubeconfig says. */
  readonly server?: string;
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
    .option("--config <file>", "YAML or JSON: cluster (a name), pools, and providers: a list of { module, config }")
    .option("--no-probe", "do not ask the network whether an address is in use before it is given")
    .option("--leader-elect-namespace <namespace>", "namespace of the Lease", "kube-system")
    .option("--status-address <ip:port>", "for /healthz, /readyz and /metrics, as 0.0.0.0:10258; not served by default")
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
  readonly config?: string;
  readonly pool?: readonly string[];
  readonly probe: boolean;
  readonly leaderElectNamespace: string;
  readonly statusAddress?: string;
  readonly logLevel: LogLevel;
}

interface ConfigFile {
  readonly cluster?: string;
  readonly pools?: readonly string[];
  readonly providers?: readonly { readonly module: string; readonly config?: unknown }[];
}

async function readFileOf(path: string): Promise<ConfigFile> {
  const wrong = (message: string) => new CliError("BAD_FILE", `${path}: ${message}`);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw wrong(String(error));
  });
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong("it is not a map");
  const { cluster, pools, providers, ...rest } = value as Record<string, unknown>;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw wrong(`${JSON.stringify(unknown)} is unknown; there are cluster, pools, providers`);
  if (cluster !== undefined && (typeof cluster !== "string" || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(cluster))) {
    throw wrong("cluster: lower case letters, digits and hyphens are needed");
  }
  if (pools !== undefined && !(Array.isArray(pools) && pools.every((one) => typeof one === "string"))) {
    throw wrong("pools: a list of texts is needed");
  }
  const isProvider = (one: unknown) => typeof (one as { module?: unknown } | null)?.module === "string";
  if (providers !== undefined && !(Array.isArray(providers) && providers.every(isProvider))) {
    throw wrong("providers: a list of maps with module is needed");
  }
  return value;
}

async function loadOrFail(module: string, config: unknown): Promise<LoadBalancerProvider> {
  try {
    return await loadProvider(module, config);
  } catch (error) {
    throw new CliError("BAD_FILE", `provider ${module}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A client for the cluster that a kubeconfig names. Throws CliError. */
export async function clientFor({ kubeconfig, context, server }: Options): Promise<Client> {
  try {
    const config = await loadKubeconfig({
      ...(kubeconfig === undefined ? {} : { path: kubeconfig }),
      ...(context === undefined ? {} : { context }),
    });
    return createHttpClient(server === undefined ? config : { ...config, server: server.replace(/\/+$/, "") });
  } catch (error) {
    if (error instanceof ClientError) throw new CliError("BAD_FILE", error.message, undefined, { cause: error });
    throw error;
  }
}

async function run(options: Options & RunOptions): Promise<void> {
  const client = await clientFor(options);
  const { createNeighbourProbe, startLoadBalancer, startProviderController, withRenewal } =
    await import("../loadbalancer/index.ts");
  const log = createLogger({ level: options.logLevel });
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => stop.abort(new Error(`stopped by ${name}`)));
  }
  const file = options.config === undefined ? {} : await readFileOf(options.config);
  const pools = [...(options.pool ?? []), ...(file.pools ?? [])];
  const clock = systemClock;
  const providers = await Promise.all(
    (file.providers ?? []).map(async ({ module, config }) =>
      withRenewal(await loadOrFail(module, config), { create: () => loadProvider(module, config), clock, log }),
    ),
  );
  const metrics = createMetrics();
  /** A process that waits to lead is ready: it does what it is there for. */
  let unready: string | undefined;
  const lead = async (signal: AbortSignal) => {
    setMaxListeners(0, signal);
    const informers = createInformers(client, { signal, log });
    const probe = options.probe ? { probe: createNeighbourProbe(systemCommands, clock) } : {};
    const part = startLoadBalancer({ client, informers, pools, ...probe, metrics, signal, clock, log });
    unready = "the Services have not been read";
    part.ready.then(
      () => (unready = undefined),
      (error: unknown) => log.error({ error: String(error) }, "the load balancer does not start"),
    );
    const cluster = file.cluster ?? "kubernetes";
    const others = providers.map((provider) =>
      startProviderController({ client, informers, provider, cluster, metrics, signal, clock, log }),
    );
    await Promise.all([part, ...others].map(({ stopped }) => stopped));
    unready = undefined;
  };
  try {
    const { parsePools } = await import("../loadbalancer/index.ts");
    parsePools(pools);
  } catch (error) {
    if (error instanceof PoolError) throw new CliError("USAGE", `--pool: ${error.message}`);
    throw error;
  }
  const at = options.statusAddress;
  const endpoint =
    at === undefined
      ? undefined
      : await startStatusEndpoint({ option: "--status-address", at, unready: () => unready, metrics });
  await startLeaderElection({
    client,
    clock,
    log,
    signal: stop.signal,
    lease: { namespace: options.leaderElectNamespace, name: "fairlead-loadbalancer" },
    identity: `${hostname()}_${process.pid}`,
    lead,
  }).stopped;
  endpoint?.close();
}

async function reservations(options: Options & { readonly output: string }): Promise<void> {
  const client = await clientFor(options);
  const { items } = await client.list(addressClaims);
  const lines = reservationsOf(items);
  process.stdout.write(options.output === "json" ? `${JSON.stringify(lines, null, 2)}\n` : reservationsCsv(lines));
}
