import { Command, Option } from "commander";
import { resources } from "../kube/index.ts";
import {
  configMapsOfHp,
  createNeighbourProbe,
  loadProvider,
  parsePools,
  PoolError,
  startHpLoadBalancer,
  startVipAgent,
  type HpBackend,
  type LoadBalancerProvider,
} from "../loadbalancer/index.ts";
import { type LogLevel, systemCommands } from "../system/index.ts";
import { anywhere } from "./data-plane.ts";
import { CliError } from "./errors.ts";
import { leadOne, runFrontEnd } from "./front-end.ts";
import { clientFor } from "./loadbalancer.ts";
import { nodeAgentCommand, runNodeAgent, type NodeAgentOptions } from "./node-agent.ts";
import { startStatusEndpoint } from "./status-endpoint.ts";

interface Flags {
  readonly backend: HpBackend;
  readonly watchNamespace?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly nodeLabel?: string;
  readonly cluster: string;
  readonly probe: boolean;
  readonly statusAddress: string;
  readonly logLevel: LogLevel;
}

export function hpLoadbalancerCommand(): Command {
  const backends = new Option("--backend <name>", "who makes the load balancers")
    .choices(["loadbalancer-daemon", "f5", "openstack-lbaasv2"])
    .default("loadbalancer-daemon");
  return new Command("hp-loadbalancer")
    .description(
      "Follow the ConfigMaps of HP's kubernetes-service-loadbalancer: each names a Service and is told its address.\nRun it once or more often: one leads. With loadbalancer-daemon, run `hp-loadbalancer daemon` on the nodes.",
    )
    .addOption(backends)
    .option("--watch-namespace <namespace>", "the only namespace whose ConfigMaps count (default: all)")
    .option("--kubeconfig <file>", "how to reach the cluster (default: the pod's service account)")
    .option("--context <name>", "context of the kubeconfig")
    .option("--node-label <key=value>", "nodes that may hold addresses, as type=loadbalancer (default: all)")
    .option("--cluster <name>", "name of this cluster, as load balancers outside are marked with it", "kubernetes")
    .option("--no-probe", "do not ask the network whether somebody else has an address")
    .option("--status-address <ip:port>", "for /healthz, /readyz and /metrics", anywhere(8081))
    .addOption(new Option("--log-level <level>", "debug, info, warn or error").default("info"))
    .addHelpText(
      "after",
      `
A ConfigMap with the label app: loadbalancer has in its data:
  namespace: default                 of the Service (default: the ConfigMap's own)
  target-service-name: coffee-svc
and gets back bind-ip: 10.0.0.10 and status: SUCCESS, or ERROR : and why. An address that is in bind-ip already is kept.

Environment, as the original:
  loadbalancer-daemon   VIP_ALLOCATION_START, VIP_ALLOCATION_END, VIRTUAL_ROUTER_ID
  f5                    the same two, F5_HOST, F5_USER, F5_PASSWORD; F5_API=as3 for AS3 in place of iControl REST
  openstack-lbaasv2     OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, OS_TENANT_NAME, OS_REGION_NAME, OS_SUBNET_ID

Examples:
  VIP_ALLOCATION_START=10.0.0.10 VIP_ALLOCATION_END=10.0.0.100 fairlead hp-loadbalancer
  fairlead hp-loadbalancer daemon --node node-1`,
    )
    .action(run)
    .addCommand(daemonCommand());
}

/** The part on the nodes: it holds the addresses. */
function daemonCommand(): Command {
  return nodeAgentCommand("daemon", { dir: "/var/lib/fairlead-hp-loadbalancer", program: "keepalived" })
    .description("Hold the addresses on this node by VRRP, as root. The node's own proxy leads packets to the pods.")
    .addOption(new Option("--backend <name>").hideHelp())
    .addOption(new Option("--keepalived [bool]").hideHelp())
    .action((options: NodeAgentOptions) => runNodeAgent(options, "keepalived", (given) => startVipAgent(given)));
}

async function run(flags: Flags): Promise<void> {
  const { backend } = flags;
  const addresses = backend === "openstack-lbaasv2" ? undefined : addressRange();
  const provider = await providerOf(backend, addresses);
  const nodes = flags.nodeLabel === undefined ? undefined : labelOf(flags.nodeLabel);
  const firstGroup = groupOf(process.env["VIRTUAL_ROUTER_ID"]);
  const client = await clientFor(flags);
  await runFrontEnd(
    client,
    flags.logLevel,
    async (parts) => {
      const { metrics, signal, clock, log } = parts;
      const status = await startStatusEndpoint({
        option: "--status-address",
        at: flags.statusAddress,
        unready: () => undefined,
        metrics,
      });
      signal.addEventListener("abort", () => status.close(), { once: true });
      const lease = {
        namespace: process.env["POD_NAMESPACE"] ?? "kube-system",
        // Those that look after other namespaces do not wait for each other.
        name: ["fairlead-hp-loadbalancer", backend, ...(flags.watchNamespace ? [flags.watchNamespace] : [])].join("-"),
      };
      const leader = leadOne(parts, lease, (until) => {
        const controller = startHpLoadBalancer({
          ...parts,
          backend,
          cluster: flags.cluster,
          ...(addresses === undefined ? {} : { addresses }),
          ...(provider ? { provider } : {}),
          ...(flags.watchNamespace ? { namespace: flags.watchNamespace } : {}),
          ...(nodes ? { announce: { nodeSelector: { matchLabels: nodes } } } : {}),
          ...(firstGroup === undefined ? {} : { firstGroup }),
          ...(flags.probe ? { probe: createNeighbourProbe(systemCommands, clock) } : {}),
          signal: until,
        });
        controller.ready.catch((error: unknown) => log.error({ error: String(error) }, "ConfigMaps are not followed"));
        return controller.stopped;
      });
      return [leader];
    },
    [{ resource: resources.ConfigMap, query: configMapsOfHp(flags.watchNamespace) }],
  );
}

function addressRange(): string {
  const { VIP_ALLOCATION_START: first = "", VIP_ALLOCATION_END: last = "" } = process.env;
  const range = `${first}-${last}`;
  if (!first || !last) throw new CliError("USAGE", "VIP_ALLOCATION_START and VIP_ALLOCATION_END are needed");
  try {
    parsePools([range]);
  } catch (error) {
    if (error instanceof PoolError)
      throw new CliError("USAGE", `VIP_ALLOCATION_START, VIP_ALLOCATION_END: ${error.message}`);
    throw error;
  }
  return range;
}

function groupOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const group = Number(text);
  if (Number.isInteger(group) && group >= 1 && group <= 255) return group;
  throw new CliError("USAGE", `VIRTUAL_ROUTER_ID ${JSON.stringify(text)} is no whole number from 1 to 255`);
}

function labelOf(text: string): Record<string, string> {
  const [key = "", value, ...rest] = text.split("=");
  if (!key || value === undefined || rest.length > 0)
    throw new CliError("USAGE", `--node-label ${JSON.stringify(text)} is not KEY=VALUE`);
  return { [key]: value };
}

/** The original took a host's name alone, and added HTTPS; it spoke iControl REST, which needs nothing installed on a BIG-IP. */
function bigIp(): { api: string; url?: string } {
  const { F5_HOST: host = "", F5_API: api = "icontrol" } = process.env;
  return { api, ...(/^[\w.:[\]-]+$/.test(host) ? { url: `https://${host}` } : {}) };
}

/** Without a configuration of their own, providers read their credentials from the environment. */
async function providerOf(
  backend: HpBackend,
  addresses: string | undefined,
): Promise<LoadBalancerProvider | undefined> {
  const { OS_TENANT_NAME: project, OS_SUBNET_ID: subnet } = process.env;
  try {
    if (backend === "f5") return await loadProvider("f5", { addresses: [addresses ?? ""], ...bigIp() });
    if (backend === "openstack-lbaasv2")
      return await loadProvider("openstack", { ...(project ? { project } : {}), ...(subnet ? { subnet } : {}) });
    return undefined;
  } catch (error) {
    throw new CliError("USAGE", `--backend ${backend}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
