import { resources, type EndpointSlice, type Lease } from "../../kube/index.ts";
import { createEventRecorder, messageOf, type Client, type Informers } from "../../client/index.ts";
import type { Clock, CommandRunner, Component, Logger, Metrics } from "../../system/index.ts";
import { claimName } from "../claims.ts";
import { addressClaims, addressPools, ensureDefinitions, type AnnounceSpec } from "../definitions.ts";
import { createAlarm, unhealthyOf, watchHealth } from "../agent-parts.ts";
import { createNodeLease, leaseNamespace, leasePrefixes, leaseSeconds } from "../node-lease.ts";
import { createTransitions } from "../transitions.ts";
import { watchConflicts, type Conflicts } from "./conflicts.ts";
import { startVipDaemon, type VipDaemon } from "./daemon.ts";
import { openNeighbours, type Neighbours } from "./neighbours.ts";
import { planVips, type VipPlan } from "./plan.ts";
import { createClaimReporter } from "./report.ts";
import { surplus } from "./placement.ts";

export interface VipAgentOptions {
  readonly client: Client;
  readonly informers: Informers;
  readonly nodeName: string;
  /** For keepalived's files; kept over restarts. */
  readonly dir: string;
  readonly commands: CommandRunner;
  readonly metrics?: Metrics;
  /** Why the data plane of this node cannot take traffic; asked every second. Absent: it always can. */
  readonly unhealthy?: () => Promise<string | undefined>;
  /** How addresses of pools that are no objects are announced, by the pool's name. */
  readonly announce?: (pool: string) => AnnounceSpec | undefined;
  /** How the network is asked who has an address. Default: by packets of its own. */
  readonly neighbours?: Neighbours;
  /** Give the addresses to others when this process ends. Default true. */
  readonly release?: boolean;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface VipAgent extends Component {
  /** Why keepalived does not do what it is to; undefined: it does, or has nothing to do. */
  failure(): string | undefined;
  /** Addresses that this node holds now. */
  holds(): readonly string[];
}

const peersAnnotation = "fairlead.dev/vip-peers";
const renewPause = 10_000;
/** Milliseconds that changes are gathered before they are acted on. */
const gather = 50;
/** Milliseconds that the API gets at the start before the node takes part without it. */
const patience = 5_000;
/**
 * Milliseconds that a load has to be uneven before anything moves, so many that a node which has died meanwhile is known to be away: what it
 * held is its heirs' then, and no reason to move. Doubled up to the most where it has helped nothing, as when a node takes part but may hold nothing.
 */
const unevenFor = { first: renewPause + 5_000, most: 3_600_000 };
/** The most groups that move at once. */
const mostMoves = 8;
const sliceIndex = "service";

/**
 * Holds the addresses that pools announce by VRRP, as one of the cluster's nodes. The API says which addresses and nodes there are; who holds
 * what is between the nodes' keepaliveds, which go on when the API or this process is away.
 */
export function startVipAgent(options: VipAgentOptions): VipAgent {
  const { client, informers, nodeName, signal, clock } = options;
  const log = options.log.child({ component: "vip", node: nodeName });
  const daemon = startVipDaemon({ ...options, release: options.release ?? true });
  const events = createEventRecorder(client, { component: "fairlead-vip", host: nodeName, log, clock, signal });
  let plan: VipPlan | undefined;
  /** All other nodes know this one: before that it would hear nobody and take everything. */
  let acknowledged = false;
  const alarm = createAlarm(clock, signal);
  const changed = () => alarm.ring();
  const unhealthy = watchHealth({ ask: options.unhealthy, changed, signal, clock, log });

  let conflicts: Conflicts | undefined;

  const counted = options.metrics
    ? tellOfVips(
        options.metrics,
        daemon,
        clock,
        () => plan,
        () => conflicts,
      )
    : () => {};

  const run = async (): Promise<void> => {
    await daemon.ready;
    const neighbours = options.neighbours ?? (await openNeighbours(clock).catch((error: unknown) => blind(error)));
    const isThere = ensureDefinitions(client, { clock, signal, retry: true });
    const isLate = await Promise.race([isThere.then(() => false), clock.sleep(patience, signal).then(() => true)]);
    if (isLate && (await options.unhealthy?.()) === undefined && (await daemon.resume())) {
      log.warn({}, "the API does not answer: this node takes part as it last did");
    }
    await isThere;
    const pools = informers.of(addressPools);
    const claims = informers.of(addressClaims);
    const nodes = informers.of(resources.Node);
    const services = informers.of(resources.Service);
    const leases = informers.of(resources.Lease);
    const slices = informers.of(resources.EndpointSlice, {
      [sliceIndex]: (slice: EndpointSlice) => [
        `${slice.metadata.namespace ?? ""}/${slice.metadata.labels?.["kubernetes.io/service-name"] ?? ""}`,
      ],
    });
    const all = [pools, claims, nodes, services, leases, slices];
    await Promise.all(all.map(({ synced }) => synced));
    for (const informer of all) informer.onChange(changed);
    daemon.onChange(changed);

    const lease = createNodeLease(client, {
      name: leaseName(nodeName),
      holder: nodeName,
      annotation: peersAnnotation,
      clock,
    });
    /** No node has said that it holds it. */
    const isFree = (address: string) => claims.get({ name: claimName(address) })?.status?.holder === undefined;
    conflicts = watchConflicts({
      neighbours,
      groups: () => {
        const held = daemon.holds();
        return (plan?.instances ?? []).filter(({ name, addresses }) => held.has(name) || addresses.some(isFree));
      },
      changed,
      clock,
      signal,
      log,
    });
    const asked = conflicts;
    const compute = (): VipPlan =>
      planVips({
        node: nodeName,
        nodes: nodes.list(),
        claims: claims.list().map(({ spec }) => spec),
        announce: (name) => pools.get({ name })?.spec?.announce ?? options.announce?.(name),
        service: (key) => services.get(nameOf(key)),
        slices: (key) => slices.by(sliceIndex, key),
        ...unhealthyOf(unhealthy()),
        isHeard: (node) => {
          const lease = leases.get({ namespace: leaseNamespace, name: leaseName(node) });
          return clock.now() - Date.parse(lease?.spec.renewTime ?? "") < unevenFor.first;
        },
        foreign: (address) => (isFree(address) && !holdsNow().has(address) ? asked.foreign(address) : undefined),
      });
    const reported = createClaimReporter({ client, nodeName, clock, log, events, daemon, conflicts: asked, services });
    let renewAt = 0;
    let unevenSince: number | undefined;
    let patient: number = unevenFor.first;
    let moving = false;
    /** Lets others take what this node holds beyond its share, and begins to wait again. */
    const giveUp = async (excess: readonly string[]): Promise<void> => {
      const before = daemon.holds().size;
      moving = true;
      log.info({ groups: excess }, "this node holds more than its share and gives some up");
      try {
        await daemon.giveUp(excess);
      } finally {
        moving = false;
        const hasHelped = daemon.holds().size < before;
        if (!hasHelped) unevenSince = clock.now();
        patient = hasHelped ? unevenFor.first : Math.min(patient * 2, unevenFor.most);
        changed();
      }
    };
    while (!signal.aborted) {
      await alarm.wait(renewPause);
      if (signal.aborted) break;
      await clock.sleep(gather, signal).catch(() => {});
      alarm.settled();
      try {
        plan = compute();
        acknowledged ||= isKnownToAll(plan, leases.list());
        if (acknowledged) {
          await asked.prepare(plan);
          plan = compute();
        }
        if (acknowledged || plan.instances.length === 0) await daemon.apply(plan.instances);
        counted();
        // What others may rely on is told only once keepalived has been told.
        if (clock.now() >= renewAt || lease.told() !== plan.peers.join(",")) {
          await lease.renew(plan.peers.join(","));
          renewAt = clock.now() + renewPause;
        }
        await reported(plan, claims.list());
      } catch (error) {
        if (signal.aborted) break;
        log.warn({ error: messageOf(error) }, "vip: trying again");
        await clock.sleep(1_000, signal).catch(() => {});
        changed();
        continue;
      }
      const excess = excessOf(plan, daemon);
      if (excess.length === 0) {
        unevenSince = undefined;
        patient = unevenFor.first;
      } else {
        unevenSince ??= clock.now();
        if (!moving && clock.now() - unevenSince >= patient) void giveUp(excess);
        else setTimeout(changed, 1_000).unref();
      }
    }
  };

  const blind = (error: unknown): undefined => {
    log.warn({ error: messageOf(error) }, "the network cannot be asked whether another machine has an address");
  };

  /** Addresses that are on this node. */
  const holdsNow = (): ReadonlySet<string> => {
    const held = daemon.holds();
    return new Set((plan?.instances ?? []).flatMap(({ name, addresses }) => (held.has(name) ? addresses : [])));
  };

  const isKnownToAll = (now: VipPlan, leases: readonly Lease[]): boolean => {
    const sources = [...new Set(now.instances.map(({ source }) => source))];
    if (sources.length === 0) return false;
    return leases.every(({ metadata, spec }) => {
      const isOther = metadata.name.startsWith(leasePrefix) && metadata.name !== leaseName(nodeName);
      if (!isOther || metadata.namespace !== leaseNamespace) return true;
      const age = clock.now() - Date.parse(spec.renewTime ?? "");
      // One that has not been heard of for a while holds nothing that VRRP would not find out.
      if (!(age < leaseSeconds * 1000)) return true;
      const known = (metadata.annotations?.[peersAnnotation] ?? "").split(",").filter(Boolean);
      return known.length === 0 || sources.every((source) => known.includes(source));
    });
  };

  const stopped = run()
    .catch((error: unknown) => {
      if (!signal.aborted) log.error({ error: messageOf(error) }, "vip ended");
    })
    .then(() => daemon.stopped);
  return {
    name: "vip",
    ready: daemon.ready,
    stopped,
    failure: () => daemon.failure(),
    holds: () => [...holdsNow()],
  };
}

const nameOf = (key: string) => {
  const [namespace = "", name = ""] = key.split("/");
  return { namespace, name };
};

/** Names of groups that this node holds beyond its share, of which it is not the first choice. */
function excessOf(plan: VipPlan, daemon: VipDaemon): string[] {
  const held = daemon.holds();
  const count = surplus(held.size, plan.groups, plan.nodes);
  const spare = plan.instances.filter(
    ({ name, isPreferred, peers }) => held.has(name) && !isPreferred && peers.length > 0,
  );
  return spare.slice(0, Math.min(count, mostMoves)).map(({ name }) => name);
}

const leasePrefix = leasePrefixes.vip;
const leaseName = (node: string) => `${leasePrefix}${node}`;

function tellOfVips(
  metrics: Metrics,
  daemon: VipDaemon,
  clock: Clock,
  plan: () => VipPlan | undefined,
  conflicts: () => Conflicts | undefined,
): () => void {
  const moves = createTransitions(metrics, {
    prefix: "fairlead_vip",
    what: "groups of addresses",
    states: ["held", "standby"],
    clock,
  });
  const look = () =>
    moves.look(
      (plan()?.instances ?? []).map(({ name }) => name),
      daemon.holds(),
    );
  daemon.onChange(look);
  const held = metrics.gauge("fairlead_vip_address_held", "1 for each address that this node holds.", ["address"]);
  /** Names of groups, by address. */
  let groupOf = new Map<string, string>();
  const known = new Set<string>();
  metrics
    .gauge("fairlead_vip_address_conflicts", "Addresses of this node that another machine answers for.")()
    .from(() => conflicts()?.count() ?? 0);
  const groups = metrics.gauge("fairlead_vip_groups", "Groups of addresses of this node, by state: held or standby.", [
    "state",
  ]);
  groups("held").from(() => daemon.holds().size);
  groups("standby").from(() => (plan()?.instances.length ?? 0) - daemon.holds().size);
  metrics
    .gauge("fairlead_vip_daemon_up", "1 while keepalived runs or has nothing to do.")()
    .from(() => (daemon.failure() === undefined ? 1 : 0));
  return () => {
    look();
    const instances = plan()?.instances ?? [];
    groupOf = new Map(instances.flatMap(({ name, addresses }) => addresses.map((address) => [address, name])));
    for (const address of groupOf.keys()) {
      if (known.has(address)) continue;
      known.add(address);
      held(address).from(() => (daemon.holds().has(groupOf.get(address) ?? "") ? 1 : undefined));
    }
  };
}
