import { hostname } from "node:os";
import { Command, Option } from "commander";
import type { Client } from "../client/index.ts";
import { startDataPlane, type DataPlaneName } from "../dataplane/index.ts";
import { resources, type Pod } from "../kube/index.ts";
import { createNeighbourProbe, startKeepalivedVip, startVipNode, type AnnounceSpec } from "../loadbalancer/index.ts";
import { type LogLevel, systemCommands } from "../system/index.ts";
import { dataPlaneName, requireDataPlane } from "./data-plane.ts";
import { CliError } from "./errors.ts";
import { goBoolean, leadOne, objectName, port, runFrontEnd, wholeNumber } from "./front-end.ts";
import { clientFor } from "./loadbalancer.ts";
import { needProgram } from "./node-agent.ts";
import { startStatusEndpoint } from "./status-endpoint.ts";

interface Flags {
  readonly servicesConfigmap: string;
  readonly useUnicast?: boolean;
  readonly vrid: number;
  readonly iface?: string;
  readonly proxyProtocolMode: boolean;
  readonly proxyProtocolVersion: 1 | 2;
  readonly httpPort: number;
  readonly releaseVips: boolean;
  readonly watchNamespace?: string;
  readonly watchAllNamespaces?: boolean;
  readonly vrrpVersion: number;
  readonly apiserverHost?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly node?: string;
  readonly nodeSelector?: string;
  readonly dir: string;
  readonly dataplane: DataPlaneName;
  readonly withdrawWithoutEndpoints: boolean;
  readonly probe: boolean;
  readonly logLevel: LogLevel;
}

export function keepalivedVipCommand(): Command {
  return new Command("keepalived-vip")
    .description(
      "Hold the addresses of a keepalived-vip ConfigMap, with the flags of kubernetes/contrib's and aledbf's program.\nRun it on every node that may hold them, as root.",
    )
    .requiredOption("--services-configmap <namespace/name>", "the ConfigMap: address -> namespace/service[:NAT|PROXY]")
    .option("--use-unicast [bool]", "adverts go to the nodes' own addresses; that is always so here", goBoolean)
    .option("--vrid <id>", "VRRP router id of the first address; the others follow", wholeNumber(0, 255), 50)
    .option("--iface <name>", "interface of the addresses (default: the one of the node's own address)")
    .option("--proxy-protocol-mode [bool]", "HAProxy leads all packets, not only those of PROXY", goBoolean, false)
    .option("--proxy-protocol-version <1|2>", "what endpoints of PROXY are sent", proxyVersion, 1 as const)
    .option("--http-port <port>", "/health and /metrics", port, 8080)
    .option("--release-vips [bool]", "give the addresses to others when this ends", goBoolean, true)
    .option("--watch-namespace <namespace>", "the only namespace whose Services may be named (default: all)")
    .option("--watch-all-namespaces [bool]", "Services of all namespaces may be named; that is the default", goBoolean)
    .option("--vrrp-version <2|3>", "3; of one's own nodes nobody else hears", wholeNumber(2, 3), 3)
    .option("--apiserver-host <url>", "URL of the API, over what the kubeconfig says")
    .option("--kubeconfig <file>", "how to reach the cluster (default: the pod's service account)")
    .option("--context <name>", "context of the kubeconfig")
    .option("--node <name>", "this node (default: NODE_NAME, else the pod's, else the host's name)")
    .option("--node-selector <key=value,...>", "nodes that may hold addresses (default: the pod's nodeSelector)")
    .option("--dir <dir>", "directory for keepalived's files, kept over restarts", "/var/lib/fairlead-keepalived-vip")
    .option("--dataplane <name>", "what leads PROXY: haproxy or embedded", dataPlaneName, "haproxy" as const)
    .option("--withdraw-without-endpoints", "take an address off while its Service has no endpoint", false)
    .option("--no-probe", "do not ask the network whether somebody else has an address")
    .addOption(new Option("--log-level <level>", "debug, info, warn or error").default("info"))
    .addOption(new Option("--v <level>").hideHelp())
    .addOption(new Option("--logtostderr [bool]").hideHelp())
    .addOption(new Option("--alsologtostderr [bool]").hideHelp())
    .addHelpText(
      "after",
      `
Values of the ConfigMap:
  10.4.0.50: default/echoheaders         packets go to the Service's endpoints (NAT)
  10.4.0.51: default/echoheaders:PROXY   by HAProxy, which tells them the client by the PROXY protocol
  10.4.0.52: ""                          the address is held, and whoever binds it serves it
  10.4.0.53: default/web, default/mail   two Services at one address, if their ports differ
  fd00--10: default/echoheaders          IPv6: a key has no colon
DR is refused: it needs IPVS. Each address moves by itself, and they are spread over the nodes. What became of each key is in the
ConfigMap's annotation fairlead.dev/vip-status; who holds what, in \`kubectl get addressclaims\`.

Examples:
  fairlead keepalived-vip --services-configmap=default/vip-configmap
  fairlead keepalived-vip --services-configmap=default/vip-configmap --use-unicast=true --vrid=100 --iface=eth1`,
    )
    .action(run);
}

function proxyVersion(text: string): 1 | 2 {
  if (text === "1" || text === "2") return text === "1" ? 1 : 2;
  throw new CliError("USAGE", `--proxy-protocol-version ${JSON.stringify(text)}: 1 or 2`);
}

async function run(flags: Flags): Promise<void> {
  const configMap = objectName("--services-configmap", flags.servicesConfigmap);
  if (flags.dataplane === "nginx")
    throw new CliError("USAGE", "--dataplane nginx cannot tell endpoints the client", "use haproxy or embedded");
  await needProgram("keepalived");
  await requireDataPlane(flags.dataplane);
  const client = await clientFor({
    ...flags,
    ...(flags.apiserverHost === undefined ? {} : { server: flags.apiserverHost }),
  });
  await runFrontEnd(
    client,
    flags.logLevel,
    async (parts) => {
      const { log, signal, metrics, clock } = parts;
      const pod = await ownPod(client);
      const selector = flags.nodeSelector === undefined ? pod?.spec?.nodeSelector : labelsOf(flags.nodeSelector);
      const nodeName = flags.node ?? process.env["NODE_NAME"] ?? pod?.spec?.nodeName ?? hostname();
      if (flags.vrrpVersion === 2)
        log.info({}, "--vrrp-version 2: version 3 is spoken, as only one's own nodes hear it");
      if (process.env["KEEPALIVED_NOTIFY"])
        log.warn({}, "KEEPALIVED_NOTIFY is not run: follow the AddressClaims' status.holder instead");
      const common = {
        configMap,
        proxyMode: flags.proxyProtocolMode,
        ...(flags.watchNamespace ? { namespace: flags.watchNamespace } : {}),
      };
      const announce: AnnounceSpec = {
        protocol: "VRRP",
        ...(flags.iface ? { interface: flags.iface } : {}),
        ...(selector && Object.keys(selector).length > 0 ? { nodeSelector: { matchLabels: { ...selector } } } : {}),
      };
      const node = startVipNode({
        ...parts,
        ...common,
        nodeName,
        dir: flags.dir,
        proxyVersion: flags.proxyProtocolVersion,
        releaseVips: flags.releaseVips,
        dataplane: () => Promise.resolve(startDataPlane(flags.dataplane, { metrics, signal, clock, log })),
        commands: systemCommands,
      });
      const status = await startStatusEndpoint({
        option: "--http-port",
        at: `0.0.0.0:${flags.httpPort}`,
        unready: () => node.failure(),
        metrics,
        more(path) {
          if (path !== "/health") return undefined;
          const why = node.failure();
          return why === undefined ? [200, "OK\n"] : [503, `${why}\n`];
        },
      });
      signal.addEventListener("abort", () => status.close(), { once: true });
      const lease = {
        namespace: process.env["POD_NAMESPACE"] ?? configMap.namespace,
        name: `fairlead-keepalived-vip-${configMap.name}`.slice(0, 253),
      };
      const leader = leadOne(parts, lease, (until) => {
        const controller = startKeepalivedVip({
          ...parts,
          ...common,
          announce,
          firstGroup: Math.max(1, flags.vrid),
          withdraw: flags.withdrawWithoutEndpoints,
          ...(flags.probe ? { probe: createNeighbourProbe(systemCommands, clock) } : {}),
          signal: until,
        });
        controller.ready.catch((error: unknown) =>
          log.error({ error: String(error) }, "the ConfigMap is not followed"),
        );
        return controller.stopped;
      });
      return [node, leader];
    },
    [
      {
        resource: resources.ConfigMap,
        query: { namespace: configMap.namespace, fieldSelector: `metadata.name=${configMap.name}` },
      },
    ],
  );
}

/** The pod that this runs in, where it says so (POD_NAME, POD_NAMESPACE). */
async function ownPod(client: Client): Promise<Pod | undefined> {
  const { POD_NAME: name, POD_NAMESPACE: namespace } = process.env;
  return name && namespace ? client.get(resources.Pod, { namespace, name }) : undefined;
}

function labelsOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(",").map((part) => {
      const [key = "", value, ...rest] = part.split("=");
      if (!key || value === undefined || rest.length > 0)
        throw new CliError("USAGE", `--node-selector ${JSON.stringify(text)}: KEY=VALUE is needed, apart by commas`);
      return [key, value];
    }),
  );
}
