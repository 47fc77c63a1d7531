import { existsSync } from "node:fs";
import { setMaxListeners } from "node:events";
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { createInformers } from "../client/index.ts";
import { parseIp } from "../kube/index.ts";
import { createMetrics, systemClock } from "../system/index.ts";
import { addressPlan } from "./cluster/addresses.ts";
import { startControllers } from "./cluster/controllers.ts";
import { startControlPlane } from "./cluster/control-plane.ts";
import { clusterDirectory, makeDirectory, takeDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";
import { keepServerHeapSmall } from "./heap.ts";
import { openLog } from "./log.ts";
import { terminal } from "./narrator.ts";
import { withServerOptions } from "./server-options.ts";
import { defaultSettings, readSettings } from "./settings.ts";
import { surviveFaults, untilSignal } from "./signals.ts";

const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

export function apiserverCommand(): Command {
  return withServerOptions(
    new Command("apiserver")
      .description(
        "Run a further API server on the etcd of a cluster, with controllers and a scheduler that wait for their turn. No node runs here.",
      )
      .requiredOption("--dir <dir>", "directory of this server: its kubeconfig and its log")
      .requiredOption("--etcd-servers <urls>", "members of etcd, with commas between; may be repeated", collect)
      .option(
        "--pki-dir <dir>",
        "certificates of the cluster: the folder `pki` of its first server, or a copy (default: DIR/pki)",
      )
      .option("--advertise-address <ip>", "where clients and pods reach this server (default: this machine's address)")
      .option("--api-port <port>", `port of the API (default: ${defaultSettings.apiPort})`)
      .addHelpText(
        "after",
        `
An address that begins with 127. means a cluster without root (\`up --rootless\`): its ranges for Services are others.

Examples:
  fairlead up --store etcd --etcd-servers http://10.0.0.1:2379,http://10.0.0.2:2379,http://10.0.0.3:2379
  fairlead apiserver --dir ./second --pki-dir ./copy-of-pki --etcd-servers http://10.0.0.1:2379,http://10.0.0.2:2379`,
      )
      .action(run),
  );
}

type Flags = Readonly<Record<string, unknown>> & {
  readonly pkiDir?: string;
  readonly advertiseAddress?: string;
};

async function run(flags: Flags): Promise<void> {
  const settings = readSettings({ ...flags, store: "etcd" });
  const { advertiseAddress } = flags;
  if (advertiseAddress !== undefined && !isIP(advertiseAddress))
    throw new CliError(
      "USAGE",
      `--advertise-address ${JSON.stringify(advertiseAddress)} is not usable`,
      "give an IP address",
    );
  const own = clusterDirectory(settings.dir);
  const directory = { ...own, pki: flags.pkiDir === undefined ? own.pki : resolve(flags.pkiDir) };
  if (!existsSync(join(directory.pki, "ca.key")))
    throw new CliError(
      "BAD_FILE",
      `there are no certificates of a cluster in ${JSON.stringify(directory.pki)}`,
      "name the folder `pki` of the first server with --pki-dir, or copy it there",
    );
  await makeDirectory(directory);
  const giveBack = await takeDirectory(directory);
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const { signal } = stop;
  try {
    const log = openLog(directory.log, (line) => terminal.line(line), settings.v);
    let running: { drain(): Promise<void> } | undefined;
    const ended = untilSignal(stop, () => running?.drain());
    surviveFaults(log);
    keepServerHeapSmall();
    const network = advertiseAddress?.startsWith("127.") ? "loopback" : "namespaces";
    const usual = addressPlan(network, 1, settings);
    if (advertiseAddress !== undefined && parseIp(advertiseAddress)?.family !== usual.families[0])
      throw new CliError(
        "USAGE",
        `--advertise-address ${advertiseAddress}: the cluster's primary family is ${usual.families[0] ?? ""}`,
        "give an address of that family; --service-cidr has to be the first server's",
      );
    const addressesOf = (number: number) =>
      number === 1 && advertiseAddress ? [advertiseAddress] : usual.addressesOf(number);
    const plan = { ...usual, addressesOf, node: (number: number) => addressesOf(number)[0] ?? "" };
    const metrics = createMetrics();
    const clock = systemClock;
    const certificate = `apiserver-${plan.node(1)}-${settings.apiPort}`;
    const controlPlane = await startControlPlane({
      directory,
      settings,
      plan,
      network,
      certificate,
      metrics,
      signal,
      clock,
      log,
    });
    running = controlPlane;
    const client = controlPlane.clientOf({
      name: "system:fairlead",
      groups: ["system:masters", "system:authenticated"],
    });
    const informers = createInformers(client, { signal, log });
    const parts = startControllers({ controlPlane, informers, metrics, clock, log, plan, signal });
    terminal.line(`API: ${controlPlane.server} answers; kubeconfig ${directory.kubeconfig}`);
    await ended;
    await Promise.all([...parts, controlPlane].map((part) => part.stopped));
  } finally {
    stop.abort();
    await giveBack();
  }
}
