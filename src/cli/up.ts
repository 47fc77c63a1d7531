import { setMaxListeners } from "node:events";
import { Command } from "commander";
import { systemClock, systemCommands } from "../system/index.ts";
import { decideCapabilities, gatherFacts } from "./capabilities.ts";
import { requireDataPlane } from "./data-plane.ts";
import { clusterDirectory, defaultDirectory, makeDirectory, takeDirectory } from "./directory.ts";
import { keepServerHeapSmall } from "./heap.ts";
import { openLog } from "./log.ts";
import { takeNetwork } from "./machine-lock.ts";
import { type Narrator, parentNarrator, terminal } from "./narrator.ts";
import { surviveFaults, untilSignal } from "./signals.ts";
import { acmeSettings, withAcmeOptions } from "./acme-flags.ts";
import { withServerOptions } from "./server-options.ts";
import { defaultSettings, readConfigFile, readSettings, type Settings } from "./settings.ts";

const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

export function upCommand(): Command {
  const command = withServerOptions(
    new Command("up")
      .description(
        "Bring a cluster up on this machine. Ctrl-C stops Fairlead; the pods go on running until `fairlead down`.",
      )
      .option("-d, --detach", "go on in the background once the cluster is ready")
      .option("--dir <dir>", `directory of the cluster (default: ${defaultDirectory})`)
      .option("--config <file>", "YAML file with these options in camel case (lbPool: [10.97.0.0/24]); flags win")
      .option("-f, --files <path>", "manifests to apply: a file or a folder; may be repeated", collect)
      .option(
        "--nodes <n>",
        `number of nodes, each with its own network where root (default: ${defaultSettings.nodes})`,
      )
      .option("--proxy-mode <mode>", "auto, nftables, iptables or userspace (default: auto)")
      .option(
        "--lb-pool <range>",
        "addresses for LoadBalancer Services: a CIDR or FIRST-LAST; may be repeated",
        collect,
      )
      .option("--vip", "let the nodes hold these addresses by VRRP, each by one node (root, keepalived)")
      .option("--image <name=command>", "what runs for an image; may be repeated", collect)
      .option("--store <store>", "lmdb, lmdb:PATH for another place, or etcd (default: lmdb)")
      .option("--etcd-servers <urls>", "members of etcd, with commas between; may be repeated", collect)
      .option("--api-port <port>", `port of the API (default: ${defaultSettings.apiPort})`)
      .option("--http-port <port>", `port of Ingress over HTTP (default: ${defaultSettings.httpPort})`)
      .option("--https-port <port>", `port of Ingress over HTTPS (default: ${defaultSettings.httpsPort})`)
      .option(
        "--dataplane <name>",
        "what serves Ingresses and Gateways: embedded, haproxy or nginx (default: embedded)",
      )
      .option("--access-log <file>", "a line of JSON for each request to Ingresses and Gateways")
      .option("--route-figures", "count requests by route on haproxy and nginx too; embedded always does")
      .option(
        "--tracing-endpoint <url>",
        "send a span for each request to this receiver of OTLP over HTTP (default: OTEL_EXPORTER_OTLP_ENDPOINT; none)",
      )
      .option("--tracing-sample <share>", "of the traces that begin here: 0 to 1 (default: OTEL_TRACES_SAMPLER; 1)")
      .option("--rootless", "use nothing that needs root, even for root")
      // Set by `--detach` for the process that it starts.
      .addOption(new Command().createOption("--report-to-parent").hideHelp())
      .addHelpText(
        "after",
        `
Files: DIR/kubeconfig for kubectl, DIR/fairlead.log for what happened, DIR/store for everything the cluster knows.

Exit codes: 2 wrong option, 10 port in use, 11 not permitted, 12 damaged data, 13 already running, 16 bad file,
17 the API refused a manifest.

Examples:
  fairlead up                                          in the foreground
  fairlead up --detach --nodes 3                       three nodes, in the background
  fairlead up -f app/ --lb-pool 10.97.0.10-10.97.0.20  apply a folder, give addresses from a range
  fairlead up --image nginx='/usr/sbin/nginx -g "daemon off;"'
  export KUBECONFIG=~/.fairlead/kubeconfig; kubectl get nodes`,
      )
      .action(up),
  );
  return withAcmeOptions(command);
}

type Flags = Readonly<Record<string, unknown>> & {
  readonly detach?: boolean;
  readonly config?: string;
  readonly reportToParent?: boolean;
};

async function up(flags: Flags): Promise<void> {
  const file = flags.config === undefined ? {} : await readConfigFile(flags.config);
  const settings = readSettings({ ...flags, images: flags["image"] }, file);
  if (flags.detach && !flags.reportToParent) {
    const { runDetached } = await import("./detach.ts");
    return runDetached(clusterDirectory(settings.dir), [...process.argv.slice(2), "--report-to-parent"], terminal);
  }
  const narrator = flags.reportToParent ? parentNarrator() : terminal;
  try {
    await run(settings, narrator);
  } catch (error) {
    narrator.failed(error);
    throw error;
  }
}

/** Brings the cluster up and looks after it until a signal comes. */
async function run(settings: Settings, narrator: Narrator): Promise<void> {
  const started = performance.now();
  const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
  const directory = clusterDirectory(settings.dir);
  const manifests = await import("./manifests.ts");
  // Read before anything is started: a slip in a manifest should cost nothing.
  const objects = settings.files.length > 0 ? await manifests.readManifests(settings.files) : [];
  await requireDataPlane(settings.dataplane);
  const acme = await acmeSettings(settings, "kube-system");
  await makeDirectory(directory);
  const giveBack = await takeDirectory(directory);
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  try {
    // What is needed next is loaded while the probes run.
    const loading = [
      import("./cluster/cluster.ts"),
      import("../apiserver/index.ts"),
      import("../store/index.ts"),
    ] as const;
    const capabilities = decideCapabilities(await gatherFacts(systemCommands), settings);
    for (const line of capabilities.off) narrator.line(line);
    const leave = await takeNetwork(capabilities.network);
    const log = openLog(directory.log, (line) => narrator.line(line), settings.v);
    let running: { drain(): Promise<void> } | undefined;
    const ended = untilSignal(stop, () => running?.drain());
    surviveFaults(log);
    keepServerHeapSmall();

    const [{ startCluster }] = await Promise.all(loading);
    const cluster = await startCluster({
      directory,
      settings,
      ...(acme ? { acme } : {}),
      capabilities,
      log,
      narrator,
      commands: systemCommands,
      clock: systemClock,
      signal: stop.signal,
    });
    running = cluster;
    narrator.line(`API: ${cluster.server} answers (${seconds()})`);
    await Promise.race([cluster.ready, ended]);
    if (objects.length > 0 && !stop.signal.aborted) {
      await manifests.applyManifests(cluster.client, objects);
      narrator.line(`applied ${objects.length} objects`);
    }
    if (!stop.signal.aborted) narrator.done(nextSteps(directory.kubeconfig, seconds(), cluster.summary()));
    await ended;
    narrator.line("stopping Fairlead; pods go on running (`fairlead down` stops them too)");
    await cluster.stopped;
    leave();
  } finally {
    stop.abort();
    await giveBack();
  }
}

function nextSteps(kubeconfig: string, seconds: string, summary: readonly string[]): string {
  return [
    `The cluster is ready (${seconds}).`,
    ...summary.map((line) => `  ${line}`),
    "Next:",
    `  export KUBECONFIG=${kubeconfig}`,
    "  kubectl create deployment hello --image=fairlead.dev/echo --port=8080",
    "  kubectl expose deployment hello --type=LoadBalancer --port=8080",
    "  fairlead status",
  ].join("\n");
}
