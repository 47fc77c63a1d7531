import { changedKeys, derive, type Listener, type Pool, type Route } from "../../routing/index.ts";
import { type Clock, type Logger, systemClock, systemCommands, whenAborted } from "../../system/index.ts";
import type { BoundListener, Configuration, DataPlane, Feature } from "../dataplane.ts";
import { trustedForwarders } from "../embedded/forwarded.ts";
import { defaultLimits, type Limits } from "../embedded/limits.ts";
import { createLines, createReports, indexModel, type ReportOptions } from "../reports.ts";
import { selfSigned } from "../self-signed.ts";
import { type ListenAddresses, listOf, openPort, type OpenPort, type Sockets, systemSockets } from "../sockets.ts";
import { keptOut } from "../features.ts";
import { type Authorities, authoritiesOf, clientTrustOf, needsStart, trustOf } from "./authorities.ts";
import { capabilities, capabilitiesOf, isPaced, refusedBy, versionOf } from "./capabilities.ts";
import { certificatesFor, type CertificateList, createPems, demandOf, pemOf } from "./certificates.ts";
import { configText, errorPages, files, type Frontend } from "./config.ts";
import { findUser, openDirectory, type PlaneDirectory } from "./directory.ts";
import { endpointRows } from "./endpoints.ts";
import { type InsideSocket, openInside } from "./inside-socket.ts";
import { firstFd, type Instance, startInstance } from "./instance.ts";
import { endOrphan, pidFile, untilDeaf, type Written } from "./orphan.ts";
import { type PasswordService, servePasswords } from "./password-service.ts";
import { luaProgram } from "./program.ts";
import { readReport, type ReportIndex } from "./reports.ts";
import { createServerTable } from "./servers.ts";
import { createSlotPools, poolOfSlotPool } from "./slot-pools.ts";
import { assignSlots, noSlots, type SlotPool, type Slots } from "./slots.ts";
import { createSync, filesOf, type State, type Sync } from "./sync.ts";
import { createTables, partsOf, tagOf } from "./tables.ts";

export interface HaproxyOptions extends ReportOptions {
  /** Where to listen. Default: all IPv4 addresses. */
  readonly address?: ListenAddresses;
  /** CIDRs of proxies in front of this one, whose `X-Forwarded-*` are believed. Default: none. */
  readonly trustedForwarders?: readonly string[];
  readonly limits?: Partial<Limits>;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  readonly log: Logger;
  readonly sockets?: Sockets;
  /** Default: `haproxy` of the machine. */
  readonly program?: string;
  /** Where its files are. Default: somewhere temporary; then a process that is left behind is not found again. */
  readonly directory?: string;
  /** Default: one for each core. */
  readonly threads?: number;
}

/** Milliseconds that connections get when the data plane ends. */
const grace = 10_000;
/** The same when a new process takes over: long connections may go on for so long. */
const handoverGrace = 3_600_000;
/** Processes that may still have connections to end; the oldest has to go when there are more. */
const mostDraining = 8;
/** Those of them that follow every change. */
const mostFollowing = 4;

/** A process that another one has taken over from. */
interface Leaving {
  readonly following: Sync;
  /** Aborts when it is not to be waited for any longer. */
  readonly hurry: AbortController;
}

interface Port {
  readonly listener: Listener;
  readonly bound: BoundListener;
  readonly socket?: OpenPort;
  /** Names have been proved here; it stays as long as the port is open. */
  readonly inside?: InsideSocket;
}

/**
 * The data plane in HAProxy: a configuration that stays, and tables, servers and certificates that change while it runs.
 * A new process is started only for other listeners, or when the spare backends run out; the listening sockets are ours, so
 * that no connection is lost then, nor when a process dies.
 */
export function startHaproxy(options: HaproxyOptions): DataPlane {
  const { signal, log, clock = systemClock, sockets = systemSockets } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const addresses = listOf(options.address);
  let ports = new Map<string, Port>();
  let slots: Slots = noSlots;
  let configuration: Configuration | undefined;
  /** The model's, and those that have backends. */
  let plain: ReadonlyMap<string, Pool> = new Map();
  let pools: ReadonlyMap<string, SlotPool> = new Map();
  const slotPools = createSlotPools();
  let state: State | undefined;
  let instance: Instance | undefined;
  let sync: Sync | undefined;
  /** What the configuration of `instance` has: a later one that failed to start is no part of it. */
  let serving = {
    ports: "",
    demands: "",
    asks: false,
    paced: false,
    declared: "",
    socket: "",
    tags: [] as readonly string[],
  };
  /** What this HAProxy can do: known with the first model. */
  let can: ReadonlySet<Feature> | undefined;
  /** A route has asked for a rate of its answers. It stays: to take it away would cost another process. */
  let paced = false;
  let generation = 0;
  let retired = false;
  /** Processes that end, with how each goes on following, until HAProxy refuses. */
  const draining = new Map<Instance, Leaving>();
  let directory: PlaneDirectory | undefined;
  let passwords: PasswordService | undefined;
  let user: Awaited<ReturnType<typeof findUser>>;
  let last: Promise<unknown> = Promise.resolve();
  // Throws for what is no CIDR.
  trustedForwarders(options.trustedForwarders ?? []);
  const trusted = options.trustedForwarders ?? [];
  const tablesOf = createTables();
  const pemsOf = createPems();
  /** The certificate for names that have none. */
  let standard: string | undefined;
  const serversNow = createServerTable();
  const reports = createReports(options, clock, log);
  let index: ReportIndex | undefined;

  /** One change after the other. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const next = last.then(act);
    last = next.catch(() => {});
    return next;
  }

  async function openPorts(
    listeners: readonly Listener[],
    run: string,
  ): Promise<{ next: Map<string, Port>; gone: Port[] }> {
    const next = new Map<string, Port>();
    const gone = new Map(ports);
    for (const listener of listeners) {
      const before = ports.get(listener.name);
      const moved = listener.bindPort !== undefined && listener.bindPort !== before?.bound.port;
      const there = before?.bound.address === listener.address;
      if (before?.socket && before.bound.wanted === listener.port && there && !moved) {
        gone.delete(listener.name);
        next.set(listener.name, { ...before, listener, bound: { ...before.bound, protocol: listener.protocol } });
      } else if (listener.protocol === "UDP") {
        const { name, protocol, port: wanted } = listener;
        next.set(name, { listener, bound: { name, protocol, wanted, error: "HAProxy cannot do UDP" } });
      }
    }
    // Ports that are given up are free for those that come, once the process has let go of them: not yet.
    for (const listener of listeners) {
      if (next.has(listener.name)) continue;
      const opened = await openPort(sockets, listener, addresses);
      if (opened.bound.error)
        log.warn({ listener: listener.name, wanted: listener.port, port: opened.bound.port }, opened.bound.error);
      next.set(listener.name, { listener, ...opened });
    }
    for (const [name, port] of next) {
      const { protocol, challenges } = port.listener;
      if (protocol !== "HTTPS" || !challenges || !port.socket || port.inside) continue;
      next.set(name, { ...port, inside: await openInside(`${run}/${tagOf(port.listener)}.inside`, user) });
    }
    return { next, gone: [...gone.values()] };
  }

  /** Made anew when the first request is reported after a change. */
  function reportIndex({ model }: Configuration): ReportIndex {
    const rows = new Map<string, Route[]>();
    for (const { items } of state ? partsOf(state.tables) : [])
      for (const [route, item] of items) if ("headers" in route) rows.set(item, [...(rows.get(item) ?? []), route]);
    const keys = new Map([...slots.taken].map(([key, slot]) => [slot, poolOfSlotPool(key)]));
    return {
      ...indexModel(model, tagOf),
      pool: (key) => plain.get(key),
      poolOf: (slot) => keys.get(slot),
      withRow: (item) => rows.get(item) ?? [],
    };
  }

  function reported(line: string): void {
    if (!configuration) return;
    const finished = readReport(line, (index ??= reportIndex(configuration)));
    if (finished) reports?.done(finished);
  }

  /** Whatever of ports a process cannot change while it runs. */
  function shapeOf(opened: ReadonlyMap<string, Port>): string {
    return JSON.stringify(frontendsOf(opened).map(({ tag, protocol, port, handed }) => [tag, protocol, port, handed]));
  }

  /** The same of what clients must show. */
  function demandsOf(opened: ReadonlyMap<string, Port>): Pick<typeof serving, "demands" | "asks"> {
    const all = frontendsOf(opened).map(({ clients }) => clients);
    const demands = JSON.stringify(all.map(({ requires, standard }) => [requires, standard]));
    return { demands, asks: all.some(({ asks }) => asks) };
  }

  /** With the descriptors in this process that each is handed. */
  function frontendsOf(opened: ReadonlyMap<string, Port>): (Frontend & { readonly handed: readonly number[] })[] {
    let fd = firstFd;
    return [...opened.values()]
      .flatMap(({ listener, socket, inside }) =>
        // Where it ends no TLS there is nothing to hand on.
        socket ? [{ listener, socket, inside: listener.protocol === "HTTPS" ? inside : undefined }] : [],
      )
      .map(({ listener, socket, inside }) => ({
        tag: tagOf(listener),
        protocol: listener.protocol,
        fds: socket.ends.map(() => fd++),
        port: listener.bindPort === undefined ? socket.port : listener.port,
        clients: demandOf(listener),
        ...(inside ? { inside: { fd: fd++, path: inside.path } } : {}),
        handed: [...socket.ends.map((end) => end.fd), ...(inside ? [inside.fd] : [])],
      }));
  }

  function stateOf({ model, keyPair, users }: Configuration, refused: ReadonlySet<string>, path: string): State {
    const servers = serversNow(pools, slots.taken, path);
    const certificates = new Map<string, CertificateList>();
    const pems = pemsOf(keyPair);
    for (const listener of model.listeners) {
      if (listener.protocol !== "HTTPS") continue;
      const tag = tagOf(listener);
      const fallback = (): string => (standard ??= pemOf(selfSigned(clock.now())));
      certificates.set(tag, certificatesFor(listener, tag, path, pems, fallback));
    }
    const tables = tablesOf({ model, slots: slots.taken, refused, users });
    const endpoints = endpointRows(tables.watched, slots.taken, pools, servers);
    return { tables, servers, endpoints, authorities: authoritiesNow(path), certificates };
  }

  function authoritiesNow(path: string): Authorities {
    const listeners = configuration?.model.listeners ?? [];
    return authoritiesOf([...trustOf(pools), ...listeners.flatMap(clientTrustOf)], path);
  }

  async function ownDirectory(): Promise<PlaneDirectory> {
    user ??= await findUser(["haproxy", "nobody"]);
    if (directory) return directory;
    const { directory: at } = options;
    if (at !== undefined) await endOrphan(at);
    const opened = await openDirectory("haproxy", ["maps", "certificates", "authorities", "run"], user, at);
    passwords = await servePasswords(files.passwords(opened.path), user);
    return (directory = opened);
  }

  async function writeFiles(path: PlaneDirectory, next: State): Promise<void> {
    for (const [file, text] of filesOf(path.path, next)) await path.write(file, text);
  }

  async function begin(next: State): Promise<void> {
    const own = await ownDirectory();
    const { path } = own;
    const frontends = frontendsOf(ports);
    const socket = `${path}/run/${++generation}.sock`;
    for (const [name, text] of Object.entries(errorPages())) await own.write(`${path}/${name}`, text);
    await own.write(files.program(path), luaProgram);
    await own.write(files.trusted(path), trusted.map((cidr) => `${cidr} 1\n`).join(""));
    await writeFiles(own, next);
    const config = configText({
      directory: path,
      socket,
      frontends,
      slots,
      servers: new Map([...next.servers].map(([slot, servers]) => [slot, [...servers.values()]])),
      authorities: [...next.authorities.keys()].filter((file) => file.endsWith(".pem")),
      trusted,
      limits,
      drained: handoverGrace,
      ...(options.threads === undefined ? {} : { threads: options.threads }),
      reports: reports !== undefined,
      paced,
      ...(reports?.tracing ? { tracing: reports.tracing } : {}),
    });
    await own.write(files.config(path), config);
    const before = instance && sync ? { instance, sync, serving } : undefined;
    const started = await startInstance({
      program: options.program ?? "haproxy",
      config: files.config(path),
      socket,
      sockets: frontends.flatMap(({ handed }) => handed),
      ...(user ? { user } : {}),
      log,
      ...(reports ? { output: createLines(reported) } : {}),
    });
    instance = started;
    state = next;
    const tags = frontends.map(({ tag }) => tag);
    const declared = JSON.stringify(slots.declared);
    serving = { socket, tags, ports: shapeOf(ports), declared, paced, ...demandsOf(ports) };
    const others = [...draining.keys(), ...(before ? [before.instance] : [])].map(({ pid }) => pid);
    const written: Written = { pid: started.pid, socket, config: files.config(path), others };
    await own.write(pidFile(path), JSON.stringify(written));
    const following = createSync({ runtime: started.runtime, directory: path, tags: new Set(tags), state: next, log });
    sync = following;
    void started.ended.then((why) => {
      following.stop();
      draining.delete(started);
      if (instance === started && !signal.aborted) died(why);
    });
    if (before) await release(before.instance, before.sync, before.serving, handoverGrace);
  }

  /**
   * Another process, or another data plane, has the sockets: this one accepts nothing any more when it settles. While idle connections may come with their last
   * request it goes on following, so that this one goes where those of all go; then it is told to drain.
   */
  async function release(
    old: Instance,
    following: Sync,
    { tags, socket }: Pick<typeof serving, "tags" | "socket">,
    patience: number,
  ): Promise<void> {
    const hurry = new AbortController();
    draining.set(old, { following, hurry });
    const [first] = [...draining.values()].filter((each) => !each.hurry.signal.aborted).slice(0, -mostFollowing);
    first?.hurry.abort();
    await old.shut(tags).catch((error: unknown) => {
      log.debug({ err: error }, "HAProxy ends at once");
      hurry.abort();
    });
    const begun = clock.now();
    void old
      .untilEmpty(Math.min(limits.clientKeepAlive, patience), hurry.signal)
      .then(() => old.drain(Math.max(0, patience - (clock.now() - begun))));
    // Whoever has refused that accepts until it is told to drain.
    if (hurry.signal.aborted) await untilDeaf(socket);
    const [oldest] = draining.keys();
    if (draining.size > mostDraining && oldest) void oldest.drain(0);
  }

  /** Its sockets are ours: who connects meanwhile waits in their backlog. */
  function died(why: string): void {
    log.warn({ why }, "HAProxy has ended and is started again");
    instance = undefined;
    void inTurn(async () => {
      for (let pause = 50; !signal.aborted && !instance && !retired && state; pause = Math.min(pause * 2, 5_000)) {
        try {
          await begin(state);
        } catch (error) {
          log.error({ err: error }, "HAProxy does not start");
          await new Promise((resolve) => setTimeout(resolve, pause));
        }
      }
    });
  }

  /**
   * What is on disk is for processes that start: `begin` writes it. `other`: another process takes over, but the one that serves can follow,
   * so that nobody gets past a guard on a connection that it has.
   */
  async function change(next: State, cold: boolean, other: boolean): Promise<void> {
    if (retired) state = next;
    else await bring(next, cold, other);
    await Promise.all(
      [...draining.values()].map(({ following, hurry }) =>
        following.follow(next).catch((error: unknown) => {
          log.debug({ err: error }, "HAProxy ends as it is");
          hurry.abort();
        }),
      ),
    );
  }

  async function bring(next: State, cold: boolean, other: boolean): Promise<void> {
    if (!cold && sync && instance && state && !needsStart(state.authorities, next.authorities)) {
      try {
        await sync.follow(next);
        state = next;
        if (other) await begin(next);
        return;
      } catch (error) {
        if (signal.aborted) throw error;
        log.warn({ err: error }, "HAProxy does not take a change: a new process takes over");
      }
    }
    await begin(next);
  }

  const stopped = new Promise<void>((resolve, reject) => {
    const stop = async (): Promise<void> => {
      await last;
      sync?.stop();
      const all = [...draining.keys(), ...(instance ? [instance] : [])];
      await Promise.all(all.map((each) => each.drain(grace, "closed")));
      for (const port of ports.values()) closePort(port);
      await passwords?.close();
      await directory?.close();
      await reports?.flush();
    };
    whenAborted(signal, () => void stop().then(resolve, reject));
  });

  return {
    name: "haproxy",
    ready: Promise.resolve(),
    stopped,
    get capabilities() {
      return can ?? capabilities;
    },
    apply: (given) =>
      inTurn(async () => {
        signal.throwIfAborted();
        const { model } = given;
        can ??= capabilitiesOf(await versionOf(systemCommands, options.program));
        if (retired) return { refused: refusedBy(model, can) };
        configuration = given;
        const { path } = await ownDirectory();
        const { next, gone } = await openPorts(model.listeners, `${path}/run`);
        let cold = !instance || shapeOf(next) !== serving.ports;
        ports = next;
        plain = model.pools;
        pools = slotPools.follow(plain, model.listeners);
        const assigned = assignSlots(slots, pools, sync?.leaving() ?? new Set());
        cold ||= JSON.stringify(assigned.declared) !== serving.declared;
        slots = assigned;
        const refused = refusedBy(model, can);
        const { demands, asks } = demandsOf(next);
        paced ||= can.has("AnswerRate") && isPaced(model);
        const other = demands !== serving.demands || (asks && !serving.asks) || paced !== serving.paced;
        await change(stateOf(given, keptOut(refused), path), cold, other);
        index = undefined;
        for (const port of gone) closePort(port);
        return { refused };
      }),
    updatePools: (changed) =>
      inTurn(async () => {
        if (!configuration || !state) return;
        const { path } = await ownDirectory();
        const known = changed.filter(({ key }) => plain.has(key));
        plain = derive(
          plain,
          known.map((pool) => [pool.key, pool] as const),
        );
        const before = pools;
        pools = slotPools.update(plain);
        const servers = serversNow(pools, slots.taken, path);
        const withTls = changed.some(({ tls }) => tls) || state.authorities.size > 0;
        const authorities = withTls ? authoritiesNow(path) : state.authorities;
        const { watched } = state.tables;
        const endpoints = changedKeys(before, pools).some((key) => watched.has(key))
          ? endpointRows(watched, slots.taken, pools, servers)
          : state.endpoints;
        await change({ ...state, servers, endpoints, authorities }, false, false);
      }),
    listeners: () => [...ports.values()].map(({ bound }) => bound),
    async retire(patience) {
      const all = await inTurn(async () => {
        const own = instance;
        retired = true;
        instance = undefined;
        const before = [...draining.keys()];
        for (const each of before) void each.drain(patience);
        if (own && sync) await release(own, sync, serving, patience);
        return own ? [...before, own] : before;
      });
      await Promise.all(all.map(({ ended }) => ended));
    },
  };
}

function closePort({ socket, inside }: Port): void {
  socket?.close();
  inside?.close();
}
