import {
  addressSet,
  createClassifier,
  decide,
  familyOf,
  type Frontend,
  type NodePlan,
  type PortPlan,
  type ProxyContext,
  isLoopback,
} from "../../services/index.ts";
import { type Clock, type Logger, whenAborted } from "../../system/index.ts";
import type { Backend, CarriedConnection, FrontendState } from "../backend.ts";
import type { Syncs } from "../figures.ts";
import { placeText, type ServiceConnection } from "../connections.ts";
import type { LoggedPacket } from "../packet-log.ts";
import { createBalancer, idOf, type Affinity, type Balancer } from "./balancer.ts";
import { createLedger, type Flow, type Ledger } from "./ledger.ts";
import { createListener } from "./listener.ts";
import { createAim, createResting, type Aimed, type Resting } from "./resting.ts";
import type { Connection, Connections, OpenServer, Target } from "./target.ts";
import { openTcpServer } from "./tcp.ts";
import { openUdpServer } from "./udp.ts";
import { createWaitingRoom } from "./waiting-room.ts";

export interface UserspaceOptions {
  readonly context: ProxyContext;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of each Service that is served anew. */
  readonly syncs?: Pick<Syncs, "done" | "userspace">;
  /** Told of each socket that could not be opened. */
  readonly openFailed?: () => void;
  /** Told of clients of Services that are logged. */
  readonly logged?: (packet: LoggedPacket) => void;
  /** Told of a Service for which a client waits, while nobody waited before. */
  readonly held?: (service: string) => void;
  /** What is shared with the user spaces before and after this one in the same process. */
  readonly resting?: Resting;
}

export interface UserspaceBackend extends Backend {
  /** Endpoints that are tried last because they keep failing. */
  failing(): number;
  /** Connections that wait for an endpoint. */
  held(): number;
  /** Sockets that take clients now. */
  listeners(): number;
}

/** A frontend at one address, as it is now: listeners look here for every client, so an update costs nothing. */
interface Served {
  port: PortPlan;
  frontend: Frontend;
  readonly balancer: Balancer;
  readonly address: string;
  readonly target: Target;
  /** Absent for what cannot be served in user space, and while nobody would be led anywhere: then the system refuses. */
  aimed: Aimed | undefined;
}

const servers: Partial<Record<Frontend["protocol"], OpenServer>> = { TCP: openTcpServer, UDP: openUdpServer };

/** Services through sockets of this process: no root, no kernel program. The client's address is not preserved. */
export function createUserspaceBackend(options: UserspaceOptions): UserspaceBackend {
  const { signal, clock, log, resting = createResting() } = options;
  let context = options.context;
  let classify = createClassifier(context);
  let started = false;
  let retired = false;
  const plans = new Map<string, NodePlan>();
  const served = new Map<string, Map<string, Served>>();
  const opening = new Set<Promise<void>>();
  const connections: Connections = new Set();
  /** Of Service ports that are gone. */
  const past = new Set<PortState>();
  const states = new Map<string, PortState>();
  const waiting = createWaitingRoom({ clock, signal, ...(options.held ? { first: options.held } : {}) });
  const warn = createLimiter(clock, (problem) => log.warn({ problem }, "a connection or listener failed"));

  const failing = (): number => {
    let count = 0;
    for (const { ledger } of states.values()) count += ledger.failing();
    return count;
  };
  options.syncs?.userspace({ held: () => waiting.count, failing, carried: () => connections.size });

  function apply(key: string, plan: NodePlan | undefined): void {
    const begun = performance.now();
    const before = served.get(key) ?? new Map<string, Served>();
    const after = new Map<string, Served>();
    // What goes is closed first: its address may be wanted by another port of the same Service.
    const wanted = new Map((plan ? endpointsOf(plan, context) : []).map((one) => [one.id, one]));
    for (const [id, one] of before) if (!wanted.has(id)) one.aimed?.listener.close();
    for (const [id, { port, frontend, address }] of wanted) {
      const known = before.get(id);
      if (known) {
        known.port = port;
        known.frontend = frontend;
        openOrClose(known);
        known.aimed?.listener.refresh();
        after.set(id, known);
      } else after.set(id, serve(key, port, frontend, address));
    }
    if (after.size > 0) served.set(key, after);
    else served.delete(key);
    const ids = new Set(plan?.ports.map(stateId));
    for (const { port } of before.values()) if (!ids.has(stateId(port))) leave(stateId(port));
    for (const port of plan?.ports ?? []) {
      const ledger = states.get(stateId(port))?.ledger;
      ledger?.keep(port.serving);
      if (ledger && port.resetRemoved) endRemoved(ledger, port);
    }
    waiting.wake(key);
    options.syncs?.done((performance.now() - begun) / 1000, false);
  }

  /** Connections of a Service port that is gone go on, and are known until the last has ended. */
  function leave(id: string): void {
    const state = states.get(id);
    if (!state) return;
    states.delete(id);
    for (const _ of state.ledger.flows()) {
      past.add(state);
      break;
    }
  }

  function serve(service: string, port: PortPlan, frontend: Frontend, address: string): Served {
    const state = states.get(stateId(port)) ?? { service, affinity: new Map(), ledger: createLedger(clock) };
    states.set(stateId(port), state);
    const { ledger } = state;
    const balancer = createBalancer(clock, state.affinity, Math.floor(Math.random() * 1_000));
    const decisionFor = (client: string) =>
      // Who comes from the address it goes to is this machine: that is how it reaches addresses of its own.
      decide(
        one.port,
        one.frontend,
        { address: client, class: client === address ? "node" : classify(client) },
        context,
      );
    const target: Target = {
      endpointsFor(client) {
        const decision = decisionFor(client);
        if (decision.verdict !== "forward") return [];
        const { endpoints, affinitySeconds, picked } = decision;
        let order = balancer.order(endpoints, client, affinitySeconds);
        if (one.port.balance === "least-connections" && affinitySeconds === undefined) order = ledger.leastFirst(order);
        if (picked) order = [picked, ...order.filter((other) => other !== picked)];
        return ledger.failingLast(order);
      },
      reached: (client, endpoint) => balancer.reached(client, endpoint, one.port.affinitySeconds),
      began: (client, endpoint) => ledger.began(client, endpoint),
      failed: (endpoint) => ledger.failed(endpoint),
      hold(client) {
        const { holdSeconds } = one.port;
        if (holdSeconds === undefined || decisionFor(client).verdict !== "reject") return Promise.resolve(false);
        return waiting.wait(service, holdSeconds, () => one.port.anywhere);
      },
      came({ remoteAddress: source, remotePort: sourcePort }) {
        if (!one.port.log || source === undefined || sourcePort === undefined) return;
        const { protocol, port: number } = one.frontend;
        options.logged?.({ source, sourcePort, destination: address, port: number, protocol });
      },
    };
    const one: Served = { port, frontend, balancer, address, target, aimed: undefined };
    openOrClose(one);
    return one;
  }

  /** A frontend that leads nobody anywhere is closed, so that clients are refused as the kernel would do it. */
  function openOrClose(one: Served): void {
    const { frontend, address, target } = one;
    const open = servers[frontend.protocol];
    if (!open || !leadsSomewhere(one)) {
      one.aimed?.listener.close();
      one.aimed = undefined;
      return;
    }
    if (one.aimed) return;
    one.aimed = resting.take(placeOf(one));
    if (one.aimed) {
      one.aimed.aim(target);
      one.aimed.listener.refresh();
      return;
    }
    const aiming = createAim(target);
    const listener = createListener({
      address,
      port: frontend.port,
      open: (where) => open(where, aiming.target, warn, connections),
      report(problem) {
        options.openFailed?.();
        warn(problem);
      },
      signal,
      clock,
    });
    one.aimed = { listener, aim: (next) => aiming.aim(next) };
    const { tried } = listener;
    opening.add(tried);
    void tried.then(() => opening.delete(tried));
  }

  function stateOf(service: string, { frontend, address, aimed }: Served): FrontendState {
    const listener = aimed?.listener;
    const { kind, protocol, port } = frontend;
    const actual = listener?.actualPort;
    const problem = protocol === "SCTP" ? "SCTP needs the nftables or iptables mode" : listener?.problem;
    return {
      service,
      kind,
      protocol,
      address,
      port,
      ...(actual === undefined || actual === port ? {} : { actualPort: actual }),
      ...(problem === undefined ? {} : { problem }),
    };
  }

  return {
    mode: "userspace",
    update(key, plan) {
      if (retired) return;
      if (plan) plans.set(key, plan);
      else plans.delete(key);
      if (started) apply(key, plan);
    },
    setContext(next) {
      if (retired) return;
      context = next;
      classify = createClassifier(next);
      if (started) for (const [key, plan] of plans) apply(key, plan);
    },
    start() {
      started = true;
      for (const [key, plan] of plans) apply(key, plan);
    },
    settled: () => Promise.all(opening).then(() => {}),
    frontends(service) {
      if (service !== undefined) return [...(served.get(service)?.values() ?? [])].map((one) => stateOf(service, one));
      const states: FrontendState[] = [];
      // Asked for again and again: of the thousands that are as they should be nothing is made.
      for (const [key, of] of served) for (const one of of.values()) if (!isPlain(one)) states.push(stateOf(key, one));
      return states;
    },
    listeners() {
      let open = 0;
      for (const of of served.values())
        for (const { aimed } of of.values()) if (aimed?.listener.actualPort !== undefined) open++;
      return open;
    },
    failure: undefined,
    repair() {},
    retire() {
      retired = true;
      const listeners = [...served.values()].flatMap((of) => [...of.values()]);
      served.clear();
      plans.clear();
      // The next mode opens NodePorts on localhost itself.
      const wanted = ({ frontend, address }: Served) => frontend.address === undefined && isLoopback(address);
      const left: [string, Aimed][] = [];
      for (const one of listeners) {
        if (wanted(one)) one.aimed?.listener.close();
        else if (one.aimed) left.push([placeOf(one), one.aimed]);
      }
      for (const [place, aimed] of left) resting.rest(place, aimed);
      // To close a socket resets who has connected and was not accepted yet; nobody else comes here any more.
      const close = () => left.forEach(([place, aimed]) => resting.close(place, aimed));
      // When this process was kept from running for so long, they are accepted first.
      const closeAfter = () => void setImmediate(close);
      clock.sleep(acceptTime, signal).then(closeAfter, close);
      return Promise.resolve();
    },
    connections: () => [...connections].flatMap(carried),
    serviceConnections() {
      const all: ServiceConnection[] = [];
      for (const state of [...states.values(), ...past]) {
        let count = 0;
        for (const flow of state.ledger.flows()) {
          all.push(...described(state.service, flow, clock.now()));
          count++;
        }
        if (count === 0) past.delete(state);
      }
      return Promise.resolve(all);
    },
    failing,
    held: () => waiting.count,
    stopped: new Promise((resolve) =>
      whenAborted(signal, () => {
        for (const of of served.values()) for (const one of of.values()) one.aimed?.listener.close();
        for (const connection of connections) connection.destroy();
        resolve();
      }),
    ),
  };
}

const placeOf = ({ frontend, address }: Served): string => `${frontend.protocol} ${address} ${frontend.port}`;

/** Whether it answers where it should, or need not answer at all. */
function isPlain({ frontend, aimed }: Served): boolean {
  const listener = aimed?.listener;
  if (frontend.protocol === "SCTP" || listener?.problem !== undefined) return false;
  return listener?.actualPort === undefined || listener.actualPort === frontend.port;
}

/** Whether some client may reach an endpoint here, or is to be met with silence, which only UDP can. */
function leadsSomewhere({ port, frontend }: Pick<Served, "port" | "frontend">): boolean {
  const isLocal = frontend.policy === "Local";
  const has = (pool: PortPlan["local"]) => pool.endpoints.length > 0;
  const reaches = isLocal ? has(port.local) || (frontend.kind !== "ClusterIP" && has(port.cluster)) : has(port.cluster);
  const holds = port.holdSeconds !== undefined && !port.anywhere && frontend.protocol === "TCP";
  return reaches || holds || (port.anywhere && frontend.protocol === "UDP");
}

/** What the frontends of a Service port share. */
interface PortState {
  readonly service: string;
  readonly affinity: Affinity;
  readonly ledger: Ledger;
}

/** Connections to endpoints that are gone are told so at once. */
function endRemoved(ledger: Ledger, port: PortPlan): void {
  const ids = new Set(port.serving.map(idOf));
  for (const { client, endpoint } of ledger.flows()) if (!ids.has(endpoint)) client.resetAndDestroy();
}

function described(service: string, { client, endpoint, since }: Flow, now: number): ServiceConnection[] {
  const { bytesRead: received, bytesWritten: sent } = client;
  return carried(client).map((one) => ({
    service,
    protocol: "TCP",
    client: placeText(one.client, one.clientPort),
    frontend: placeText(one.address, one.port),
    endpoint,
    seconds: Math.round((now - since) / 1000),
    received,
    sent,
  }));
}

/** The frontends of a Service port share their affinity, in each family. */
function stateId({ family, id }: PortPlan): string {
  return `${family} ${id}`;
}

function carried(connection: Connection): CarriedConnection[] {
  const { remoteAddress: client, remotePort: clientPort, localAddress: address, localPort: port } = connection;
  if (client === undefined || clientPort === undefined || address === undefined || port === undefined) return [];
  return [{ client, clientPort, address, port }];
}

/** Each place where a Service answers; a NodePort does on every address of the node, localhost among them. */
function endpointsOf(plan: NodePlan, { node }: ProxyContext) {
  const answering = node.nodePortAddresses && addressSet(node.nodePortAddresses);
  const nodeAddresses = [...new Set([...node.addresses, "127.0.0.1", "::1"])].filter(
    (address) => !answering || answering.has(address),
  );
  return plan.ports.flatMap((port) =>
    port.frontends.flatMap((frontend) =>
      (frontend.address === undefined
        ? nodeAddresses.filter((address) => familyOf(address) === port.family)
        : [frontend.address]
      ).map((address) => ({
        id: `${port.id} ${frontend.protocol} ${address} ${frontend.port}`,
        port,
        frontend,
        address,
      })),
    ),
  );
}

/** Milliseconds in which everybody who has connected is surely accepted. */
const acceptTime = 3_000;

/** Says the same thing at most once in ten seconds, and not more than a hundred different things. */
function createLimiter(clock: Clock, say: (text: string) => void): (text: string) => void {
  let said = new Set<string>();
  let until = 0;
  return (text) => {
    if (clock.now() >= until) {
      said = new Set();
      until = clock.now() + 10_000;
    }
    if (said.has(text) || said.size >= 100) return;
    said.add(text);
    say(text);
  };
}
