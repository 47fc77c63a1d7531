import { createInformers, startInformer, type Client, type EventRecorder, type Informers } from "../client/index.ts";
import { keyOf, resources, type Node } from "../kube/index.ts";
import {
  createServiceModel,
  familiesIn,
  type Family,
  type NodePlan,
  type Packet,
  type ProxyContext,
  type ServiceModel,
} from "../services/index.ts";
import { createMetrics, type Clock, type CommandRunner, type Component, type Logger } from "../system/index.ts";
import type { FrontendState, ProxyMode } from "./backend.ts";
import { canaryKey, openCanary } from "./canary.ts";
import { chooseBackend } from "./choose.ts";
import { createComplaints } from "./complaints.ts";
import { serveControl } from "./control.ts";
import { createDraining } from "./draining.ts";
import { guardDatapath } from "./datapath-guard.ts";
import { createProxyFigures } from "./figures.ts";
import { createHandover } from "./handover.ts";
import { createHealthChecks } from "./health-checks.ts";
import { countingRules } from "./iptables/rule-count.ts";
import { createLatency, type Latency } from "./latency.ts";
import { createPacketLog, type LoggedPacket } from "./packet-log.ts";
import { createProgress } from "./progress.ts";
import { keepTranslating, removeProxy } from "./remove.ts";
import { followServiceCidrs } from "./service-cidrs.ts";
import { someClusterIps, whyNoRoute } from "./service-routes.ts";
import { serveStatus, type StatusPorts } from "./status-server.ts";
import { createSwitchable } from "./switchable.ts";
import { createResting } from "./userspace/index.ts";

/** What the proxy reads the cluster through: a client, or caches that it shares with other parts of the process. */
type Source =
  | { readonly client: Client; readonly informers?: Informers }
  | { readonly client?: undefined; readonly informers: Informers };

/** Known from the start, or told by the Node object. */
type OfNode = readonly string[] | ((node: Node) => readonly string[]);

const known = (given: OfNode | undefined): readonly string[] => (Array.isArray(given) ? given : []);

export type ProxyOptions = Source & {
  readonly nodeName: string;
  /** `auto`: nftables where root and `nft` are there, else userspace. */
  readonly mode: ProxyMode | "auto";
  /** The node's own addresses, of both families where it has both: NodePorts answer there. */
  readonly nodeAddresses: OfNode;
  /** The ranges in which NodePorts answer, of those. Absent: on all of them. */
  readonly nodePortAddresses?: readonly string[];
  /** The families that are served. Absent: those of the addresses and ranges that are given here. */
  readonly families?: readonly Family[];
  /** Where all pods of the cluster have their addresses. */
  readonly podCidrs: OfNode;
  /** Names of the interfaces behind which this node's pods are, in place of their addresses; `cali*` for all that begin so. */
  readonly podInterfaces?: readonly string[];
  /** Clients of a cluster IP are masked as the node, whoever they are. */
  readonly masqueradeAll?: boolean;
  /** Absent: as the cluster's ServiceCIDR objects say, which needs a client. */
  readonly serviceCidrs?: readonly string[];
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly commands: CommandRunner;
  /** Where it tells of itself. Absent: nowhere. */
  readonly status?: StatusPorts;
  /** Path of a Unix socket on which it can be told to switch. Absent: none. */
  readonly control?: string;
  /** Takes out what another mode left in the kernel, once this proxy serves. */
  readonly replaceOthers?: boolean;
  /** See `Handover`. */
  readonly ownAddresses?: (own: boolean, serviceCidrs: readonly string[]) => Promise<void>;
  /** Events about Services that cannot be served as asked for. */
  readonly events?: EventRecorder;
};

export interface Proxy extends Component {
  readonly mode: ProxyMode;
  /** Why this mode, when it was chosen by `auto` and is not the first choice. */
  readonly modeReason: string | undefined;
  /** Frontends that answer elsewhere than asked for, or do not answer, each with the reason; of one Service or of all. */
  frontends(service?: string): readonly FrontendState[];
  /** The decision model behind the rows: ask it where a packet goes. */
  readonly model: ServiceModel;
  /** Milliseconds from the arrival of an EndpointSlice to its rows being in force. */
  readonly latency: Latency;
  /** Resolves when all changes seen so far are in force. */
  settled(): Promise<void>;
  /** Why the node's rows are not up to date; undefined when they are. */
  failure(): string | undefined;
  /** Serves by another mode from now on, without a break. Throws `SwitchError`, and all is as before. */
  switchTo(mode: ProxyMode): Promise<void>;
}

/** Serves Services on one node. Rejects only when the asked mode is impossible here. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { signal, clock, commands, nodeName, nodeAddresses, podCidrs } = options;
  const log = options.log.child({ component: "proxy" });
  let context: ProxyContext = {
    families:
      options.families ?? familiesIn([...known(nodeAddresses), ...known(options.serviceCidrs), ...known(podCidrs)]),
    node: {
      name: nodeName,
      addresses: known(nodeAddresses),
      ...(options.nodePortAddresses ? { nodePortAddresses: options.nodePortAddresses } : {}),
    },
    podCidrs: known(podCidrs),
    ...(options.podInterfaces ? { podInterfaces: options.podInterfaces } : {}),
    serviceCidrs: known(options.serviceCidrs),
    ...(options.masqueradeAll ? { masqueradeAll: true } : {}),
  };
  const model = createServiceModel(context);
  const metrics = createMetrics();
  const figures = createProxyFigures(metrics, clock, context.families[0] ?? "IPv4");
  const { syncs } = figures;
  const counted = countingRules(commands, metrics);
  const root = process.getuid?.() === 0;
  const packets = createPacketLog({ model, kernel: root, signal, clock, log });
  const held = (key: string): void => {
    const service = model.service(key);
    const message = `a client waits on node ${nodeName} for an endpoint`;
    if (service) options.events?.event(service, "Normal", "ConnectionsWaiting", message);
  };
  const serviceOf = (packet: Packet) => model.route(packet).hit?.service;
  const logged = (packet: LoggedPacket) => packets.tell(packet);
  const resting = createResting();
  const choose = (mode: ProxyMode | "auto") =>
    chooseBackend({ mode, signal, clock, commands: counted, syncs, serviceOf, held, logged, resting }, context, log);
  const first = await choose(options.mode);
  // It opens with the proxy that tells of itself, or when a mode is to be tried.
  let opened: ReturnType<typeof openCanary> | undefined;
  const canary = () => (opened ??= openCanary(signal));
  const probe = async (mode: ProxyMode): Promise<string | undefined> => (await canary()).probe(mode, context.families);

  const lookForRoutes = (): Promise<string | undefined> =>
    whyNoRoute(
      someClusterIps(model.keys(), (key) => model.plan(key)),
      backend.mode === "userspace" && options.ownAddresses !== undefined,
    );

  /** A busy machine may be late once. */
  const selfTest = async (mode: ProxyMode): Promise<string | undefined> =>
    (await probe(mode)) === undefined ? undefined : probe(mode);

  const ownAddresses = async (own: boolean): Promise<void> => options.ownAddresses?.(own, context.serviceCidrs);
  const handover = createHandover({
    commands: counted,
    kernel: root,
    mode: () => backend.mode,
    connections: () => backend.connections(),
    ownAddresses,
    signal,
    clock,
    log,
  });
  const backend = createSwitchable({
    first: first.backend,
    make: async (mode) => (await choose(mode)).backend,
    async *plans(mode) {
      yield [canaryKey(mode), (await canary()).plan(mode, context.families)];
      for (const key of model.keys()) {
        const plan = model.plan(key);
        if (plan) yield [key, plan];
      }
    },
    selfTest,
    ...handover,
    signal,
    log,
  });
  const draining = createDraining(clock, () => backend.serviceConnections());
  figures.draining(() => draining.left());
  const progress = createProgress(clock);
  const latency = createLatency();
  const health = createHealthChecks({
    addresses: context.node.addresses,
    healthy: () => !backend.failure,
    onProblem(key, port, problem) {
      const service = model.service(key);
      const message = `node ${nodeName} failed to start healthcheck "${key}" on port ${port}: ${problem}`;
      if (service) options.events?.event(service, "Warning", "FailedToStartServiceHealthcheck", message);
    },
    signal,
    clock,
    log,
  });

  const complaints =
    options.events && createComplaints(options.events, nodeName, { context: () => context, mode: () => backend.mode });

  let node: Node | undefined;
  let serving = false;
  if (options.status) {
    serveStatus({
      ports: options.status,
      mode: () => backend.mode,
      metrics,
      figures,
      health: () => progress.health(),
      unready: () => (serving ? backend.failure?.message : "Services have not all come into force yet"),
      probeDatapath: async () => (await probe(backend.mode)) ?? (await lookForRoutes()),
      nodeEligible: () => isEligible(node),
      signal,
      clock,
      log,
    });
  }

  // Until all objects have come once, changes are only noted, so that each Service is planned once.
  let noted: Set<string> | undefined = new Set();
  const changed = (keys: ReadonlySet<string>): void => {
    for (const key of keys) {
      if (noted) noted.add(key);
      else update(key);
    }
    if (keys.size === 0) return;
    figures.queued(noted ? undefined : backend.settled());
    if (!noted) progress.changed(() => backend.settled());
  };
  const update = (key: string): void => {
    const plan: NodePlan | undefined = model.plan(key);
    backend.update(key, plan);
    figures.planned(key, plan);
    draining.update(key, plan);
    if (plan?.ports.some((port) => port.log)) packets.open();
    health.update(key, plan?.healthCheck);
    complaints?.update(key, model.service(key), plan, backend.frontends(key));
  };
  const setContext = (next: ProxyContext): void => {
    context = next;
    backend.setContext(next);
    health.setAddresses(next.node.addresses);
    changed(model.setContext(next));
  };

  const informers = options.client
    ? (options.informers ?? createInformers(options.client, { signal, log }))
    : options.informers;
  const services = informers.of(resources.Service);
  const slices = informers.of(resources.EndpointSlice);
  // Of thousands of Nodes this one alone matters, where nobody else needs the others.
  const nodes =
    options.client && !options.informers
      ? startInformer(options.client, resources.Node, { signal, log, fieldSelector: `metadata.name=${nodeName}` })
      : informers.of(resources.Node);

  // The caches may be shared and live longer than this proxy.
  services.onChange(({ before, after }) => {
    if (signal.aborted) return;
    figures.serviceChanged();
    if (after) changed(model.upsertService(after));
    else if (before) changed(model.removeService(keyOf(before)));
  });
  slices.onChange(({ before, after }) => {
    if (signal.aborted) return;
    const arrived = clock.now();
    figures.sliceChanged();
    if (after) changed(model.upsertSlice(after));
    else if (before) changed(model.removeSlice(keyOf(before)));
    if (noted) return;
    const done = backend.settled();
    latency.measure(arrived, done, clock);
    figures.programming(before, after, done);
  });
  nodes.onChange(({ before, after }) => {
    if (signal.aborted || (after ?? before)?.metadata.name !== nodeName) return;
    // Of a node that is gone, the last that was known of it stays true for what still runs there.
    if (!after) return;
    node = after;
    const next = contextOn(after, context, options);
    if (JSON.stringify(next) !== JSON.stringify(context)) setContext(next);
  });
  const ranges =
    options.serviceCidrs || !options.client
      ? Promise.resolve()
      : followServiceCidrs({ client: options.client, informers, signal, clock, log }, (serviceCidrs) => {
          if (signal.aborted) return;
          setContext({ ...context, serviceCidrs });
          if (serving && backend.mode === "userspace")
            ownAddresses(true).catch((error: unknown) =>
              log.warn({ error: String(error) }, "addresses cannot be taken"),
            );
        });

  const ready = Promise.all([services.synced, slices.synced, nodes.synced, ranges]).then(async () => {
    // A proxy that is stopped while it starts opens nothing that nobody would close.
    signal.throwIfAborted();
    if (options.status) backend.update(canaryKey(backend.mode), (await canary()).plan(backend.mode, context.families));
    const keys = noted ?? [];
    noted = undefined;
    for (const [i, key] of [...keys].entries()) {
      // Ten thousand Services take a second: others in this process get their turns meanwhile.
      if (i % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
      update(key);
    }
    if (backend.mode === "userspace") await ownAddresses(true);
    backend.start();
    await backend.settled();
    if (options.replaceOthers) {
      await keepTranslating(commands);
      await removeProxy(commands, { but: backend.mode });
    }
    if (backend.mode !== "userspace") await ownAddresses(false);
    serving = true;
    progress.begun();
    if (options.status) void guardDatapath({ probe: () => probe(backend.mode), repair, signal, clock, log });
    log.info({ mode: backend.mode, services: [...model.keys()].length }, "Services are served");
  });
  ready.catch(() => {});

  async function repair(): Promise<void> {
    backend.repair();
    await backend.settled();
  }

  async function switchTo(mode: ProxyMode): Promise<void> {
    await ready;
    await backend.switchTo(mode);
  }
  if (options.control !== undefined) {
    const status = async () => ({
      mode: backend.mode,
      services: [...model.keys()].length,
      draining: await draining.left().catch(() => []),
      ...(backend.failure ? { failure: backend.failure.message } : {}),
    });
    serveControl({
      path: options.control,
      status,
      connections: () => backend.serviceConnections(),
      switchTo,
      signal,
      clock,
      log,
    });
  }

  return {
    name: "proxy",
    get mode() {
      return backend.mode;
    },
    modeReason: first.reason,
    ready,
    stopped: Promise.all([backend.stopped, health.stopped]).then(() => {}),
    frontends: (service) => backend.frontends(service),
    model,
    latency,
    settled: () => backend.settled(),
    failure: () => backend.failure?.message,
    switchTo,
  };
}

/** The context as the Node object has it now. */
function contextOn(node: Node, context: ProxyContext, { nodeAddresses, podCidrs }: ProxyOptions): ProxyContext {
  const zone = node.metadata.labels?.["topology.kubernetes.io/zone"];
  const addresses = typeof nodeAddresses === "function" ? nodeAddresses(node) : nodeAddresses;
  const { zone: _before, ...rest } = context.node;
  return {
    ...context,
    node: { ...rest, addresses, ...(zone ? { zone } : {}) },
    podCidrs: typeof podCidrs === "function" ? podCidrs(node) : podCidrs,
  };
}

/** False for a node that is about to go (KEP-3836). */
function isEligible(node: Node | undefined): boolean {
  const leaving = node?.spec?.taints?.some(({ key }) => key === "ToBeDeletedByClusterAutoscaler") ?? false;
  return !leaving && !node?.metadata.deletionTimestamp;
}
