import { Command, Option } from "commander";
import { createInformers } from "../client/index.ts";
import { type DataPlaneName, startDataPlane } from "../dataplane/index.ts";
import { isRancherIngress, loadProvider, startLbController, startProviderController } from "../loadbalancer/index.ts";
import type { LogLevel } from "../system/index.ts";
import { dataPlaneName, everyAddress, listenAddresses, requireDataPlane } from "./data-plane.ts";
import { CliError } from "./errors.ts";
import { aborted, type FrontEndParts, leadOne, ownAddress, port, runFrontEnd } from "./front-end.ts";
import { clientFor } from "./loadbalancer.ts";
import { startStatusEndpoint } from "./status-endpoint.ts";

interface Flags {
  readonly controller: string;
  readonly provider: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly healthPort: number;
  readonly address?: readonly string[];
  readonly dataplane: DataPlaneName;
  readonly publishAddress?: readonly string[];
  readonly cluster: string;
  readonly leaderElectNamespace: string;
  readonly logLevel: LogLevel;
}

const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

export function lbControllerCommand(): Command {
  return new Command("lb-controller")
    .description(
      "Serve the Ingresses of a cluster as Rancher 1.x's lb-controller did, with its flags and annotations.\nRun it once or more often: one of them writes statuses.",
    )
    .option("--controller <name>", "kubernetes: what is served are Ingresses", "kubernetes")
    .addOption(new Option("--lb-controller <name>").hideHelp())
    .option(
      "--provider <name>",
      "haproxy: this process serves them; rancher: load balancers that Rancher makes",
      "haproxy",
    )
    .addOption(new Option("--lb-provider <name>").hideHelp())
    .addOption(new Option("--metadata-address <name>").hideHelp())
    .option("--kubeconfig <file>", "how to reach the cluster (default: KUBECONFIG, the pod's service account)")
    .option("--context <name>", "context of the kubeconfig")
    .option("--health-port <port>", "/healthz, /readyz, /metrics", port, 10_241)
    .option(
      "--address <ips>",
      "provider haproxy: addresses to listen on, with commas between (default: all)",
      (value) => listenAddresses(value),
    )
    .option(
      "--dataplane <name>",
      "provider haproxy: embedded, or haproxy for a process of HAProxy, which keeps no client by a cookie",
      dataPlaneName,
      "embedded" as const,
    )
    .option("--publish-address <address>", "provider haproxy: where clients reach it; may be repeated", collect)
    .option("--cluster <name>", "provider rancher: name of this cluster, as what is made is marked", "kubernetes")
    .option(
      "--leader-elect-namespace <namespace>",
      "namespace of the Lease (default: the pod's)",
      process.env["POD_NAMESPACE"] ?? "kube-system",
    )
    .addOption(new Option("--log-level <level>", "debug, info, warn or error").default("info"))
    .addHelpText(
      "after",
      `
Ingresses of the class rancher are served, and those of no class. Their annotations:
  http.port: "8080", https.port: "8443"    ports, in place of 80 and 443
  allow.http: "false"                      only HTTPS, by the Secrets of spec.tls
  scale: "2"                               provider rancher: how many load balancers
  config: "defaults\\n balance source"      HAProxy's own words: balance, timeout connect, timeout server
  io.rancher.stickiness.policy: |          clients stay with their pod
    cookie: JSESSIONID
    mode: insert
  io.rancher.scheduler.affinity.host_label: in=lb    provider rancher: where load balancers run

With --provider rancher, CATTLE_URL, CATTLE_ACCESS_KEY and CATTLE_SECRET_KEY say where Rancher is, and RANCHER_LB_SEPARATOR how load balancers are named.

Examples:
  fairlead lb-controller --kubeconfig ~/.kube/config --publish-address 192.0.2.10
  CATTLE_URL=https://rancher.example/v2-beta fairlead lb-controller --provider rancher`,
    )
    .action(run);
}

async function run(given: Flags & { readonly lbController?: string; readonly lbProvider?: string }): Promise<void> {
  const flags = {
    ...given,
    controller: given.lbController ?? given.controller,
    provider: given.lbProvider ?? given.provider,
  };
  if (flags.controller !== "kubernetes")
    throw new CliError(
      "USAGE",
      `--controller ${JSON.stringify(flags.controller)} reads the metadata of Rancher's own scheduler, which is not taken over`,
      "use kubernetes",
    );
  if (flags.provider !== "haproxy" && flags.provider !== "rancher")
    throw new CliError("USAGE", `--provider ${JSON.stringify(flags.provider)} is unknown`, "use haproxy or rancher");
  if (flags.dataplane === "nginx")
    throw new CliError("USAGE", "--dataplane nginx opens no ports of Ingresses", "use embedded or haproxy");
  if (flags.provider === "haproxy") await requireDataPlane(flags.dataplane);
  const client = await clientFor(flags);
  await runFrontEnd(client, flags.logLevel, (parts) =>
    flags.provider === "haproxy" ? serveHere(flags, parts) : serveByRancher(flags, parts),
  );
}

const leaseName = "fairlead-lb-controller";

async function serveHere(flags: Flags, parts: FrontEndParts): Promise<readonly { stopped: Promise<unknown> }[]> {
  const { metrics, signal, clock, log } = parts;
  let leading = false;
  const dataplane = startDataPlane(flags.dataplane, {
    metrics,
    signal,
    clock,
    log,
    address: flags.address ?? everyAddress(),
  });
  const addresses = flags.publishAddress ?? [process.env["HOST_IP"] ?? ownAddress()];
  const served = startLbController({ ...parts, dataplane, addresses, leading: () => leading });
  await openHealth(flags, parts, () => served.unserved());
  const election = leadOne(parts, { namespace: flags.leaderElectNamespace, name: leaseName }, async (until) => {
    leading = true;
    served.refresh();
    await aborted(until);
    leading = false;
  });
  return [served, election];
}

async function serveByRancher(flags: Flags, parts: FrontEndParts): Promise<readonly { stopped: Promise<unknown> }[]> {
  const provider = await loadProvider("rancher", {}).catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    throw new CliError(
      "USAGE",
      `--provider rancher: ${message}`,
      "set CATTLE_URL, CATTLE_ACCESS_KEY, CATTLE_SECRET_KEY",
    );
  });
  await openHealth(flags, parts, () => undefined);
  const lease = { namespace: flags.leaderElectNamespace, name: leaseName };
  const election = leadOne(parts, lease, (signal) => {
    const informers = createInformers(parts.client, { signal, log: parts.log });
    const of = { provider, cluster: flags.cluster, ownsIngress: isRancherIngress };
    return startProviderController({ ...parts, ...of, informers, signal }).stopped;
  });
  return [election];
}

async function openHealth(flags: Flags, parts: FrontEndParts, unready: () => string | undefined): Promise<void> {
  const { metrics, signal } = parts;
  const at = `0.0.0.0:${flags.healthPort}`;
  const endpoint = await startStatusEndpoint({ option: "--health-port", at, unready, metrics });
  signal.addEventListener("abort", () => endpoint.close(), { once: true });
}
