import { type Client, createInformers, type Informers } from "../../client/index.ts";
import { beforePort } from "../../kube/index.ts";
import {
  type Clock,
  type CommandRunner,
  type Component,
  createMetrics,
  type Logger,
  type Metrics,
} from "../../system/index.ts";
import type { AcmeSettings } from "../acme-flags.ts";
import type { Capabilities } from "../capabilities.ts";
import type { ClusterDirectory } from "../directory.ts";
import { createNodeLan, lanName } from "../lan.ts";
import { passVips } from "../lan-vips.ts";
import { rotateLog } from "../log.ts";
import type { Narrator } from "../narrator.ts";
import type { Settings } from "../settings.ts";
import { type ClusterState, writeState } from "../state.ts";
import { supervise } from "../supervise.ts";
import { packageVersion } from "../version.ts";
import { addressPlan, type AddressPlan, type ChosenRanges, poolsOf } from "./addresses.ts";
import { endAgents, startAgent } from "./agents.ts";
import { rangesOf } from "./chosen-ranges.ts";
import { cidrsOf } from "./cidrs.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { startControllers } from "./controllers.ts";
import { startExposure } from "./exposure.ts";
import { endVips, grantVips, startNodeVip, vipUser } from "./vip.ts";
import {
  clusterDomain,
  localPathUser,
  type NodeOptions,
  nodeName,
  startLocalVolumes,
  startNodeKubelet,
  startNodeProxy,
} from "./node.ts";

export interface ClusterOptions {
  readonly directory: ClusterDirectory;
  readonly settings: Settings;
  /** How certificates are got. Absent: they are not. */
  readonly acme?: AcmeSettings;
  readonly capabilities: Capabilities;
  readonly narrator: Narrator;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly commands: CommandRunner;
}

/** What every part of the cluster in this process is given. */
export interface PartContext extends ClusterOptions {
  readonly plan: AddressPlan;
  readonly chosen: ChosenRanges;
  readonly pools: readonly string[];
  readonly controlPlane: ControlPlane;
  /** Figures of this process, which the API serves at `/metrics`. */
  readonly metrics: Metrics;
  /** One watch and one cache a kind for all parts of this process. */
  readonly informers: Informers;
}

/** A cluster that runs in this process. */
export interface Cluster {
  /** As `system:masters`. */
  readonly client: Client;
  readonly server: string;
  /** Settles when every part does its job. */
  readonly ready: Promise<void>;
  /** Lines for the user about how it can be reached; complete once it is ready. */
  summary(): readonly string[];
  /** Lets clients of the API end what they do: see ControlPlane. To be called before the signal. */
  drain(): Promise<void>;
  /** Settles when every part has ended after the signal, the store last. */
  readonly stopped: Promise<void>;
}

const masters = (name: string) => ({ name, groups: ["system:masters", "system:authenticated"] });

/** Wires the whole cluster. Settles when the API answers; the other parts start at the same time, each on its own. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { directory, settings, capabilities, narrator, signal, clock, log, commands } = options;
  const { network, proxyMode } = capabilities;
  const chosen = await rangesOf(directory, settings);
  const plan = addressPlan(network, settings.nodes, chosen);
  const pools = poolsOf(plan, settings.lbPool);
  const lan = createNodeLan(commands, lanName(directory.root));
  if (network === "namespaces") await lan.setUp(settings.nodes, plan.families);

  const state: ClusterState = {
    network,
    proxyMode,
    nodes: Array.from({ length: settings.nodes }, (_, i) => nodeName(i + 1)),
    clusterDomain,
    dns: { address: plan.dns[0] ?? "", port: 53 },
    ingress: { address: plan.node(1), httpPort: settings.httpPort, httpsPort: settings.httpsPort },
    podCidrs: plan.podCIDRs,
    serviceCidrs: plan.serviceCIDRs,
    chosen,
    frontends: [],
  };
  // Written before anything is changed: `down` must know what to take back, also after a crash in the middle.
  await writeState(directory, state);

  const metrics = createMetrics();
  const build = metrics.gauge("fairlead_build_info", "Always 1; the version of Fairlead is its label.", ["version"]);
  build(await packageVersion()).set(1);
  const controlPlane = await startControlPlane({ directory, settings, plan, network, metrics, signal, clock, log });
  const client = controlPlane.clientOf(masters("system:fairlead"));
  const informers = createInformers(client, { signal, log });
  const context: PartContext = { ...options, plan, chosen, pools, controlPlane, metrics, informers };

  const exposure = startExposure(context);
  const parts: Component[] = [
    ...startControllers(context),
    ...(await startNodes(context, exposure.onProxy)),
    ...exposure.parts,
    startLocalVolumes(
      Array.from({ length: settings.nodes }, (_, i) => i + 1),
      { ...context, client: controlPlane.clientOf({ name: localPathUser, groups: ["system:authenticated"] }) },
    ),
    maintenance(options),
  ];
  const stateNow = () => ({ ...state, ...exposure.addresses() });
  const ready = Promise.all(parts.map((part) => part.ready)).then(() => writeState(directory, stateNow()));
  ready.catch(() => {});
  void tellWaiting(parts, ready, narrator, clock, signal);
  const keeper = keepState(options, ready, stateNow);

  return {
    client,
    server: controlPlane.server,
    ready,
    summary: () => [
      `kubeconfig     ${directory.kubeconfig}`,
      `nodes          ${state.nodes.join(", ")} (${network === "namespaces" ? "pod networks" : "loopback"}, ${proxyMode})`,
      ...exposure.summary(),
    ],
    drain: () => controlPlane.drain(),
    stopped: Promise.all([...parts, keeper, controlPlane].map((part) => part.stopped)).then(() => {}),
  };
}

/** The kubelet and the proxy of every node: in this process, or for further nodes with a network of their own in agents. */
async function startNodes(context: PartContext, onProxy: ExposureProxy): Promise<Component[]> {
  const { directory, settings, capabilities, plan, chosen, pools, controlPlane, informers, signal, clock, log } =
    context;
  const { commands } = context;
  const numbers = Array.from({ length: settings.nodes }, (_, i) => i + 1);
  const virtualRanges = [...plan.serviceCIDRs, ...pools.flatMap(cidrsOf)];
  const optionsOf = async (number: number): Promise<NodeOptions> => {
    const name = nodeName(number);
    const identity = { user: `system:node:${name}`, groups: ["system:nodes"] };
    const hosts = [name, ...plan.addressesOf(number)];
    const credentials = await controlPlane.pki.server(`${name}-kubelet`, {
      name: identity.user,
      groups: identity.groups,
      hosts,
    });
    return {
      number,
      plan,
      capabilities,
      virtualRanges,
      directory,
      informers,
      signal,
      clock,
      log,
      commands,
      images: settings.images,
      credentials: {
        ...credentials,
        ca: controlPlane.pki.ca,
      },
      client: controlPlane.clientOf({
        name: identity.user,
        groups: [...identity.groups, "system:authenticated"],
      }),
      // Without root nobody answers at port 443, so pods go straight to the server.
      ...(capabilities.network === "loopback" ? { apiServer: apiServerAt(controlPlane.server) } : {}),
      proxyClient: controlPlane.clientOf({ name: "system:kube-proxy", groups: ["system:authenticated"] }),
    };
  };

  await endAgents(directory);
  if (settings.vip) {
    await grantVips(controlPlane.clientOf(masters("system:fairlead")));
    if (settings.nodes > 1) await passVips(commands, pools.flatMap(cidrsOf));
  } else await endVips(directory, commands);
  if (capabilities.network === "loopback") {
    // The nodes share the machine's network, so one proxy serves them all.
    const nodes = await Promise.all(numbers.map(optionsOf));
    const [first] = nodes;
    const addresses = numbers.map(plan.node);
    return [...nodes.map(startNodeKubelet), ...(first ? [startNodeProxy(first, addresses, onProxy)] : [])];
  }
  const first = await optionsOf(1);
  const server = new URL(controlPlane.server);
  server.hostname = beforePort(plan.node(1));
  await Promise.all(
    numbers.slice(1).map((number) =>
      startAgent({
        directory,
        number,
        vip: settings.vip,
        pki: controlPlane.pki,
        name: nodeName(number),
        config: {
          number,
          virtualRanges,
          nodes: settings.nodes,
          images: settings.images,
          addresses: plan.addressesOf(number),
          chosen,
          server: server.origin,
          proxyMode: capabilities.proxyMode,
        },
      }),
    ),
  );
  const vip = { ...first, client: controlPlane.clientOf({ name: vipUser, groups: ["system:authenticated"] }) };
  return [
    startNodeKubelet(first),
    startNodeProxy(first, plan.addressesOf(1), onProxy),
    ...(settings.vip ? [startNodeVip({ ...vip, metrics: context.metrics })] : []),
  ];
}

function apiServerAt(url: string): { address: string; port: number } {
  const { hostname, port } = new URL(url);
  return { address: hostname, port: Number(port) };
}

type ExposureProxy = ReturnType<typeof startExposure>["onProxy"];

/** Milliseconds between two looks at what grows on disk. */
const maintenanceInterval = 300_000;

/** Sets the log aside when it has grown too long. The store is looked after by the API server. */
function maintenance({ directory, signal, clock, log }: ClusterOptions): Component {
  return supervise(
    "maintenance",
    (own) => ({
      name: "maintenance",
      ready: Promise.resolve(),
      stopped: (async () => {
        while (!own.aborted) {
          await rotateLog(directory.log);
          await clock.sleep(maintenanceInterval, own).catch(() => {});
        }
      })(),
    }),
    { signal, clock, log },
  );
}

/** Milliseconds between two looks at where Services answer. */
const lookInterval = 2_000;

/**
 * Keeps the state on disk true while Services come and go. Only in user space can they answer elsewhere than asked for, and
 * only there is anything to look at.
 */
function keepState(options: ClusterOptions, ready: Promise<void>, now: () => ClusterState): Component {
  const { directory, capabilities, signal, clock, log } = options;
  const keep = async () => {
    await ready;
    for (let written = JSON.stringify(now()); !signal.aborted;) {
      await clock.sleep(lookInterval, signal);
      const text = JSON.stringify(now());
      if (text === written) continue;
      await writeState(directory, now()).catch((error: unknown) => log.warn({ error }, "the state cannot be written"));
      written = text;
    }
  };
  const stopped = capabilities.proxyMode === "userspace" ? keep().catch(() => {}) : Promise.resolve();
  return { name: "state", ready, stopped };
}

/** Milliseconds after which the user is told what is still waited for. */
const tellAfter = 10_000;

async function tellWaiting(
  parts: readonly Component[],
  ready: Promise<void>,
  narrator: Narrator,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const waiting = new Set(parts.map(({ name }) => name));
  for (const part of parts) part.ready.then(() => waiting.delete(part.name)).catch(() => {});
  const done = ready.then(
    () => true,
    () => true,
  );
  for (;;) {
    const slept = clock.sleep(tellAfter, signal).then(
      () => false,
      () => true,
    );
    if (await Promise.race([done, slept])) return;
    narrator.line(`still starting: ${[...waiting].join(", ")}`);
  }
}
