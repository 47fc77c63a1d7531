import { isStatus, resources, type EndpointSlice, type Secret } from "../../kube/index.ts";
import { createEventRecorder, messageOf, type Client, type Informers } from "../../client/index.ts";
import type { Clock, CommandRunner, Component, Logger, Metrics } from "../../system/index.ts";
import { addressClaims, addressPools, ensureDefinitions } from "../definitions.ts";
import { startSpeaker } from "./daemon.ts";
import { bgpPeers, bgpSessions } from "./definitions.ts";
import { planBgp, type BgpNeighbor, type BgpPlan } from "./plan.ts";
import { createAlarm, unhealthyOf, watchHealth } from "../agent-parts.ts";
import { createNodeLease, leasePrefixes } from "../node-lease.ts";
import { createTransitions } from "../transitions.ts";
import { createSessionReporter } from "./report.ts";
import { BgpConfigError, sessionKey } from "./session.ts";
import type { BgpSpeaker, SpeakerName } from "./speaker.ts";

export interface BgpAgentOptions {
  readonly client: Client;
  readonly informers: Informers;
  readonly nodeName: string;
  /** The program that speaks BGP. Default bird. */
  readonly speaker?: SpeakerName;
  /** For its files; kept over restarts. */
  readonly dir: string;
  readonly commands: CommandRunner;
  readonly metrics?: Metrics;
  /** Why the data plane of this node cannot take traffic; asked every second. Absent: it always can. */
  readonly unhealthy?: () => Promise<string | undefined>;
  /** Withdraw what is announced when this process ends. Default true. */
  readonly release?: boolean;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

const gather = 50;
const renewPause = 10_000;
/** Milliseconds that the API gets at the start before what was last known is announced without it. */
const patience = 5_000;
const secretAge = 30_000;
const sliceIndex = "service";

/**
 * Announces the addresses of pools that are announced by BGP, as one of the cluster's nodes. What a session really is goes into a BGPSession;
 * sessions and announcements do not depend on the API being there.
 */
export function startBgpAgent(options: BgpAgentOptions): Component {
  const { client, informers, nodeName, signal, clock } = options;
  const log = options.log.child({ component: "bgp", node: nodeName });
  const speaker = startSpeaker({ ...options, speaker: options.speaker ?? "bird", release: options.release ?? true });
  const events = createEventRecorder(client, { component: "fairlead-bgp", host: nodeName, log, clock, signal });
  let plan: BgpPlan | undefined;
  const alarm = createAlarm(clock, signal);
  const changed = () => alarm.ring();
  const unhealthy = watchHealth({ ask: options.unhealthy, changed, signal, clock, log });

  const run = async (): Promise<void> => {
    await speaker.ready;
    const known = learn();
    const isLate = await Promise.race([known.then(() => false), clock.sleep(patience, signal).then(() => true)]);
    if (isLate && unhealthy() === undefined && (await speaker.resume())) {
      log.warn({}, "the API does not answer: what was last known is announced");
    }
    const compute = await known;
    const passwords = createPasswords(client, clock);
    const report = createSessionReporter({
      client,
      sessions: informers.of(bgpSessions),
      nodes: informers.of(resources.Node),
      nodeName,
      clock,
      events,
      signal,
    });
    let renewAt = 0;
    const lease = createNodeLease(client, {
      name: `${leasePrefixes.bgp}${nodeName}`,
      holder: nodeName,
      annotation: "fairlead.dev/bgp-peers",
      clock,
    });
    while (!signal.aborted) {
      await alarm.wait(renewPause);
      if (signal.aborted) break;
      await clock.sleep(gather, signal).catch(() => {});
      alarm.settled();
      const faults = new Map<string, string>();
      try {
        plan = compute();
        for (const [name, fault] of plan.faults) faults.set(name, fault);
        const neighbors = await usable(plan, passwords, faults);
        await apply(plan, neighbors, passwords);
        await report({ plan, neighbors, faults, state: speaker.state(), failure: speaker.failure() });
        // Without it nobody could tell a session that is from one whose node has gone.
        if (clock.now() >= renewAt) {
          await lease.renew(neighbors.map(({ name }) => name).join(","));
          renewAt = clock.now() + renewPause;
        }
      } catch (error) {
        if (signal.aborted) break;
        log.warn({ error: messageOf(error) }, "bgp: trying again");
        await clock.sleep(1_000, signal).catch(() => {});
        changed();
      }
    }
  };

  /** Settles when all that decides has been read. */
  async function learn(): Promise<() => BgpPlan> {
    await ensureDefinitions(client, {
      clock,
      signal,
      retry: true,
      kinds: [addressPools, addressClaims, bgpPeers, bgpSessions],
    });
    const pools = informers.of(addressPools);
    const claims = informers.of(addressClaims);
    const peers = informers.of(bgpPeers);
    const sessions = informers.of(bgpSessions);
    const nodes = informers.of(resources.Node);
    const services = informers.of(resources.Service);
    const slices = informers.of(resources.EndpointSlice, {
      [sliceIndex]: (slice: EndpointSlice) => [
        `${slice.metadata.namespace ?? ""}/${slice.metadata.labels?.["kubernetes.io/service-name"] ?? ""}`,
      ],
    });
    const all = [pools, claims, peers, nodes, services, slices];
    await Promise.all([...all, sessions].map(({ synced }) => synced));
    for (const informer of all) informer.onChange(changed);
    // Who else takes our reports away gets them back.
    sessions.onChange(({ after }) => {
      if (!after) changed();
    });
    speaker.onChange(changed);
    return () =>
      planBgp({
        node: nodeName,
        nodes: nodes.list(),
        peers: peers.list(),
        claims: claims.list().map(({ spec }) => spec),
        announce: (name) => pools.get({ name })?.spec?.announce,
        service: (key) => services.get(nameOf(key)),
        slices: (key) => slices.by(sliceIndex, key),
        ...unhealthyOf(unhealthy()),
      });
  }

  /** Sessions that can be written; what cannot is a fault of its own peer and harms no other. */
  async function usable({ neighbors, routerId = "" }: BgpPlan, passwords: Passwords, faults: Map<string, string>) {
    const found: BgpNeighbor[] = [];
    for (const neighbor of neighbors) {
      try {
        const password = await passwords.read(neighbor);
        speaker.check({ routerId, neighbors: [neighbor], passwordOf: () => password });
        found.push(neighbor);
      } catch (error) {
        if (!(error instanceof BgpConfigError)) throw error;
        faults.set(neighbor.name, error.message);
      }
    }
    return found;
  }

  async function apply({ routerId }: BgpPlan, neighbors: readonly BgpNeighbor[], passwords: Passwords): Promise<void> {
    if (routerId === undefined || neighbors.length === 0) return speaker.apply(undefined);
    const recover = neighbors.some(({ spec }) => spec.gracefulRestart);
    await speaker.apply({ routerId, neighbors, passwordOf: passwords.known }, { recover });
  }

  if (options.metrics) tellOfSessions(options.metrics, speaker, clock, () => plan);
  const stopped = run()
    .catch((error: unknown) => {
      if (!signal.aborted) log.error({ error: messageOf(error) }, "bgp ended");
    })
    .then(() => speaker.stopped);
  return { name: "bgp", ready: speaker.ready, stopped };
}

const nameOf = (key: string) => {
  const [namespace = "", name = ""] = key.split("/");
  return { namespace, name };
};

interface Passwords {
  /** Throws BgpConfigError when the Secret is not there or lacks the key. */
  read(neighbor: BgpNeighbor): Promise<string | undefined>;
  readonly known: (neighbor: BgpNeighbor) => string | undefined;
}

/** Passwords of peers. One that was read stays while the API is away. */
function createPasswords(client: Client, clock: Clock): Passwords {
  const kept = new Map<string, { readonly value: string; readonly until: number }>();
  const keyOf = ({ spec: { passwordSecret } }: BgpNeighbor) =>
    passwordSecret && `${passwordSecret.namespace}/${passwordSecret.name}`;
  return {
    known: (neighbor) => kept.get(keyOf(neighbor) ?? "")?.value,
    async read(neighbor) {
      const key = keyOf(neighbor);
      if (key === undefined) return undefined;
      const found = kept.get(key);
      if (found && found.until > clock.now()) return found.value;
      let secret: Secret;
      try {
        secret = await client.get(resources.Secret, nameOf(key));
      } catch (error) {
        const missing = isStatus(error, "NotFound", "Forbidden");
        if (!missing && found) return found.value;
        if (missing) kept.delete(key);
        throw new BgpConfigError(`spec.passwordSecret: Secret ${key} cannot be read: ${messageOf(error)}`);
      }
      const data = secret.data?.["password"];
      if (data === undefined) throw new BgpConfigError(`spec.passwordSecret: Secret ${key} has no key "password"`);
      const value = Buffer.from(data, "base64").toString("utf8");
      kept.set(key, { value, until: clock.now() + secretAge });
      return value;
    },
  };
}

function tellOfSessions(metrics: Metrics, speaker: BgpSpeaker, clock: Clock, plan: () => BgpPlan | undefined): void {
  const sessions = metrics.gauge("fairlead_bgp_sessions", "BGP sessions of this node, by state: up or down.", [
    "state",
  ]);
  const all = () => (plan()?.neighbors ?? []).map(({ name }) => sessionKey(name));
  const up = () => all().filter((name) => speaker.state().sessions.get(name)?.state === "Established");
  const moves = createTransitions(metrics, {
    prefix: "fairlead_bgp_session",
    what: "sessions",
    states: ["up", "down"],
    clock,
  });
  speaker.onChange(() => moves.look(all(), new Set(up())));
  sessions("up").from(() => up().length);
  sessions("down").from(() => all().length - up().length);
  metrics
    .gauge("fairlead_bgp_advertised_prefixes", "Prefixes that routers were told, of all sessions together.")()
    .from(() => [...speaker.state().sessions.values()].reduce((sum, { exported }) => sum + exported, 0));
  metrics
    .gauge("fairlead_bgp_bfd_up", "BFD sessions of this node that are up.")()
    .from(() => [...speaker.state().bfd.values()].filter((state) => state === "Up").length);
  metrics
    .gauge("fairlead_bgp_daemon_up", "1 while the program that speaks BGP runs or has nothing to do.")()
    .from(() => (speaker.failure() === undefined ? 1 : 0));
}
