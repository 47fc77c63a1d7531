import { createInformers, type Client, type Informers } from "../client/index.ts";
import { keyOf, resources, type Node } from "../kube/index.ts";
import { createServiceModel, familiesIn, type ProxyContext, type ServiceModel } from "../services/index.ts";
import { createMetrics, type Clock, type CommandRunner, type Component, type Logger } from "../system/index.ts";
import type { FrontendState, ProxyMode } from "./backend.ts";
import { chooseBackend } from "./choose.ts";
import { createProxyFigures } from "./figures.ts";
import { createHealthChecks } from "./health-checks.ts";
import { createLatency, type Latency } from "./latency.ts";
import { createProgress } from "./progress.ts";
import { serveStatus, type StatusPorts } from "./status-server.ts";

export interface ProxyOptions {
  readonly client: Client;
  /** To share one cache with other parts of the process; absent: the proxy keeps its own. */
  readonly informers?: Informers;
  readonly nodeName: string;
  /** `auto`: nftables where root and `nft` are there, else userspace. */
  readonly mode: ProxyMode | "auto";
  /** The node's own addresses, of both families where it has both: NodePorts answer there. */
  readonly nodeAddresses: readonly string[];
  /** Where all pods of the cluster have their addresses. */
  readonly podCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly commands: CommandRunner;
  /** Where it tells of itself. Absent: nowhere. */
  readonly status?: StatusPorts;
}

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
}

/** Serves Services on one node. Rejects only when the asked mode is impossible here. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { client, signal, clock, nodeName } = options;
  const log = options.log.child({ component: "proxy" });
  let context: ProxyContext = {
    families: familiesIn([...options.nodeAddresses, ...options.serviceCidrs, ...options.podCidrs]),
    node: { name: nodeName, addresses: options.nodeAddresses },
    podCidrs: options.podCidrs,
    serviceCidrs: options.serviceCidrs,
  };
  const model = createServiceModel(context);
  const metrics = createMetrics();
  const figures = createProxyFigures(metrics, clock, context.families[0] ?? "IPv4");
  const { syncs } = figures;
  const { backend, reason } = await chooseBackend({ ...options, syncs }, context, log);
  const progress = createProgress(clock);
  const latency = createLatency();
  const health = createHealthChecks({
    addresses: options.nodeAddresses,
    healthy: () => !backend.failure,
    signal,
    clock,
    log,
  });

  let node: Node | undefined;
  if (options.status) {
    serveStatus({
      ports: options.status,
      mode: backend.mode,
      metrics,
      figures,
      health: () => progress.health(),
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
    figures.queued();
    if (!noted) progress.changed(() => backend.settled());
  };
  const update = (key: string): void => {
    const plan = model.plan(key);
    backend.update(key, plan);
    health.update(key, plan?.healthCheck);
  };

  const informers = options.informers ?? createInformers(client, { signal, log });
  const services = informers.of(resources.Service);
  const slices = informers.of(resources.EndpointSlice);
  const nodes = informers.of(resources.Node);

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
  nodes.onChange(({ after }) => {
    if (signal.aborted || after?.metadata.name !== nodeName) return;
    node = after;
    const zone = zoneOf(after);
    if (zone === context.node.zone) return;
    const { name, addresses } = context.node;
    context = { ...context, node: { name, addresses, ...(zone ? { zone } : {}) } };
    backend.setContext(context);
    changed(model.setContext(context));
  });

  const ready = Promise.all([services.synced, slices.synced, nodes.synced]).then(async () => {
    const keys = noted ?? [];
    noted = undefined;
    for (const [i, key] of [...keys].entries()) {
      // Ten thousand Services take a second: others in this process get their turns meanwhile.
      if (i % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
      update(key);
    }
    backend.start();
    await backend.settled();
    progress.begun();
    log.info({ mode: backend.mode, services: [...model.keys()].length }, "Services are served");
  });
  ready.catch(() => {});

  return {
    name: "proxy",
    mode: backend.mode,
    modeReason: reason,
    ready,
    stopped: Promise.all([backend.stopped, health.stopped]).then(() => {}),
    frontends: (service) => backend.frontends(service),
    model,
    latency,
    settled: () => backend.settled(),
    failure: () => backend.failure?.message,
  };
}

function zoneOf(node: Node): string | undefined {
  return node.metadata.labels?.["topology.kubernetes.io/zone"];
}

/** False for a node that is about to go (KEP-3836). */
function isEligible(node: Node | undefined): boolean {
  const leaving = node?.spec?.taints?.some(({ key }) => key === "ToBeDeletedByClusterAutoscaler") ?? false;
  return !leaving && !node?.metadata.deletionTimestamp;
}
