import { setMaxListeners } from "node:events";
import { hostname, networkInterfaces } from "node:os";
import { Command, Option } from "commander";
import { ClientError, createEventRecorder, createHttpClient, loadKubeconfig, type Client } from "../client/index.ts";
import {
  askProxy,
  nodePortAddresses,
  ProxyModeError,
  removeProxy,
  startProxy,
  type Proxy,
  type ProxyOptions,
} from "../proxy/index.ts";
import { familiesIn } from "../services/index.ts";
import { createLogger, systemClock, systemCommands, type Logger } from "../system/index.ts";
import { ownRanges } from "./cluster/local-ranges.ts";
import { makeSocketFolder } from "./control-socket.ts";
import { CliError } from "./errors.ts";
import { keepHeapSmall } from "./heap.ts";
import { terminal } from "./narrator.ts";
import { followFiles } from "./proxy-files.ts";
import { givenRange } from "./proxy-objects.ts";
import { defaultProxySettings, parseBindAddress, readProxySettings, type ProxySettings } from "./proxy-settings.ts";
import { connectionsCommand, statusCommandOfProxy, switchCommand } from "./proxy-switch.ts";
import { readConfigFile } from "./settings.ts";
import { surviveFaults, untilSignal } from "./signals.ts";

const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

/** Flags of kube-proxy that mean nothing here: changes are applied at once, and there is nothing to tune. */
const withoutEffect = [
  "bind-address config-sync-period conntrack-max-per-core conntrack-min",
  "conntrack-tcp-timeout-close-wait conntrack-tcp-timeout-established conntrack-udp-timeout",
  "conntrack-udp-timeout-stream feature-gates iptables-masquerade-bit iptables-min-sync-period",
  "iptables-sync-period kube-api-burst kube-api-qps kube-api-content-type logging-format",
  "oom-score-adj show-hidden-metrics-for-version vmodule",
].flatMap((line) => line.split(" "));

export function proxyCommand(): Command {
  const command = new Command("proxy")
    // What stands after a subcommand is the subcommand's.
    .enablePositionalOptions()
    .description(
      "Serve Services on this node, in place of kube-proxy: those of any cluster, or those in files without any cluster.",
    )
    .option(
      "--kubeconfig <file>",
      "how to reach the cluster (default: KUBECONFIG, ~/.kube/config, or the pod's own account)",
    )
    .option("--context <name>", "context of the kubeconfig")
    .option("--master <url>", "URL of the API, over what the kubeconfig says")
    .option(
      "-f, --file <path>",
      "Services and EndpointSlices in a file or a folder, in place of a cluster; may be repeated",
      collect,
    )
    .option("--node, --hostname-override <name>", "name of this node's Node (default: NODE_NAME, else the host's name)")
    .option("--mode, --proxy-mode <mode>", "auto, nftables, iptables or userspace (default: auto)")
    .option("--cluster-cidr <cidrs>", "where pods have their addresses (default: the Node's podCIDRs)")
    .option(
      "--detect-local-mode <mode>",
      "how pods are told from others: ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix",
    )
    .option("--pod-bridge-interface <name>", "the pods' bridge, of BridgeInterface")
    .option("--pod-interface-name-prefix <prefix>", "how the pods' interfaces begin, of InterfaceNamePrefix")
    .option(
      "--service-cidr <cidrs>",
      "where Services have their addresses (default: as the cluster's ServiceCIDRs say)",
    )
    .option("--nodeport-addresses <list>", "where NodePorts answer: primary, or CIDRs (default: primary)", collect)
    .option("--masquerade-all", "mask every client of a cluster IP")
    .option(
      "--healthz-bind-address <address>",
      `/healthz, /livez, /readyz (default: ${defaultProxySettings.healthzBindAddress})`,
    )
    .option(
      "--metrics-bind-address <address>",
      `/metrics, /proxyMode (default: ${defaultProxySettings.metricsBindAddress})`,
    )
    .option("--control-socket <path>", `of \`proxy switch\` (default: ${defaultProxySettings.controlSocket})`)
    .option("--config <file>", "YAML file with these options in camel case, or a KubeProxyConfiguration; flags win")
    .option("--cleanup", "take everything of the proxy out of this machine, in any mode, and end")
    .option("--v <level>", "how much is logged, 4 and more: whatever helps to find a fault (default: 0)")
    .addHelpText(
      "after",
      `
The rules stay when the proxy ends, and serve on; the next start takes them over without a gap. \`--cleanup\` removes them.
Flags of kube-proxy that mean nothing here are accepted and named in the log.

Exit codes: 2 wrong option, 11 not permitted, 13 already running, 16 bad file.

Examples:
  fairlead proxy --kubeconfig proxy.conf --node worker-1
  fairlead proxy --config /var/lib/kube-proxy/config.conf
  fairlead proxy --file services/                       no cluster: an L4 load balancer
  fairlead proxy switch --to nftables                   the running one, without a break
  fairlead proxy --cleanup`,
    )
    .action(proxy);
  for (const name of withoutEffect) command.addOption(new Option(`--${name} <value>`).hideHelp());
  return command.addCommand(switchCommand()).addCommand(statusCommandOfProxy()).addCommand(connectionsCommand());
}

type Flags = Readonly<Record<string, unknown>> & { readonly config?: string; readonly cleanup?: boolean };

async function proxy(flags: Flags): Promise<void> {
  if (flags.cleanup) return cleanUp();
  const file = flags.config === undefined ? {} : await readConfigFile(flags.config);
  const { settings, notes } = readProxySettings(flags, file);
  const log = createLogger({ level: settings.v >= 4 ? "debug" : "info" });
  const ignored = withoutEffect.filter((name) => flags[camelCase(name)] !== undefined).map((name) => `--${name}`);
  for (const name of ignored) log.info({}, `${name} has no effect here`);
  for (const note of notes) log.info({}, note);

  const running =
    settings.controlSocket === "" ? undefined : await askProxy(settings.controlSocket).catch(() => undefined);
  if (running)
    throw new CliError(
      "ALREADY_RUNNING",
      `a proxy answers at ${settings.controlSocket} already`,
      "end it first, or give another --control-socket",
    );
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const ended = untilSignal(stop);
  surviveFaults(log);
  keepHeapSmall();
  const started = await start(settings, stop.signal, log);
  await Promise.race([started.ready, ended]);
  await ended;
  await started.stopped;
}

const camelCase = (name: string): string => name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

async function start(settings: ProxySettings, signal: AbortSignal, log: Logger): Promise<Proxy> {
  const nodeName = settings.hostnameOverride || (process.env["NODE_NAME"] ?? hostname()).toLowerCase();
  if (settings.controlSocket !== "") await makeSocketFolder(settings.controlSocket, log);
  const base = { ...(await optionsOf(settings)), nodeName, signal, clock: systemClock, log, commands: systemCommands };
  try {
    if (settings.file.length > 0) {
      const { informers } = await followFiles(settings.file, base);
      return await startProxy({ ...base, ...fixedPlace(settings), informers });
    }
    const client = await clientOf(settings);
    const events = createEventRecorder(client, {
      component: "kube-proxy",
      host: nodeName,
      log,
      clock: systemClock,
      signal,
    });
    return await startProxy({ ...base, ...placeOfNode(settings), client, events });
  } catch (error) {
    if (!(error instanceof ProxyModeError)) throw error;
    throw new CliError("NOT_PERMITTED", error.message, "run it as root, or with --proxy-mode userspace", {
      cause: error,
    });
  }
}

async function clientOf({ kubeconfig, context, master }: ProxySettings): Promise<Client> {
  try {
    const config = await loadKubeconfig({
      ...(kubeconfig ? { path: kubeconfig } : {}),
      ...(context ? { context } : {}),
    });
    return createHttpClient(master ? { ...config, server: master.replace(/\/+$/, "") } : config);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    throw new CliError("BAD_FILE", error.message, "or give --file to serve without a cluster", { cause: error });
  }
}

/** Addresses of this machine's interfaces. */
function interfaceAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}

/** What does not depend on where the objects come from. */
async function optionsOf(settings: ProxySettings) {
  const { proxyMode, serviceCidr, nodeportAddresses, healthzBindAddress, metricsBindAddress, controlSocket } = settings;
  const health = parseBindAddress(healthzBindAddress);
  const metrics = parseBindAddress(metricsBindAddress);
  const local: Partial<ProxyOptions> =
    settings.detectLocalMode === "BridgeInterface"
      ? { podInterfaces: [settings.podBridgeInterface] }
      : settings.detectLocalMode === "InterfaceNamePrefix"
        ? { podInterfaces: [`${settings.podInterfaceNamePrefix}*`] }
        : {};
  const interfaces = interfaceAddresses().filter((address) => !/^(127\.|::1$|fe80:)/i.test(address));
  return {
    mode: proxyMode,
    families: familiesIn([...interfaces, ...serviceCidr, ...settings.clusterCidr]),
    ...(serviceCidr.length > 0 ? { serviceCidrs: serviceCidr } : {}),
    ...(nodeportAddresses.includes("primary") ? {} : { nodePortAddresses: nodeportAddresses }),
    ...(settings.masqueradeAll ? { masqueradeAll: true } : {}),
    ...local,
    status: { ...(health ? { health } : {}), ...(metrics ? { metrics } : {}) },
    ...(controlSocket === "" ? {} : { control: controlSocket }),
    ...(process.getuid?.() === 0
      ? {
          replaceOthers: true,
          ownAddresses: (own: boolean, ranges: readonly string[]) => ownRanges(systemCommands, own ? ranges : []),
        }
      : {}),
  };
}

/** Where the node is and its pods are, without a Node object. */
function fixedPlace({ nodeportAddresses, clusterCidr, serviceCidr }: ProxySettings) {
  return {
    nodeAddresses: nodePortAddresses(nodeportAddresses, undefined, interfaceAddresses()),
    podCidrs: clusterCidr,
    serviceCidrs: [...serviceCidr, givenRange],
  };
}

/** The same as the Node object has it. */
function placeOfNode({
  nodeportAddresses,
  clusterCidr,
  detectLocalMode,
}: ProxySettings): Pick<ProxyOptions, "nodeAddresses" | "podCidrs"> {
  const fixed = detectLocalMode === "ClusterCIDR" && clusterCidr.length > 0;
  const byInterface = detectLocalMode === "BridgeInterface" || detectLocalMode === "InterfaceNamePrefix";
  return {
    nodeAddresses: (node) => nodePortAddresses(nodeportAddresses, node, interfaceAddresses()),
    podCidrs: fixed || byInterface ? clusterCidr : ({ spec }) => spec.podCIDRs ?? (spec.podCIDR ? [spec.podCIDR] : []),
  };
}

async function cleanUp(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new CliError("NOT_PERMITTED", "only root has rules in the kernel", "run it as root");
  await removeProxy(systemCommands);
  await ownRanges(systemCommands, []).catch(() => {});
  terminal.done("Nothing of the proxy is left on this machine.");
}
