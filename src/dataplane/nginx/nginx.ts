import { readFileSync, rmSync } from "node:fs";
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { derive, type Listener, type ListenerProtocol, type Pool, type RoutingModel } from "../../routing/index.ts";
import {
  type Clock,
  type CommandRunner,
  type Logger,
  systemClock,
  systemCommands,
  whenAborted,
} from "../../system/index.ts";
import type { BoundListener, DataPlane, Feature, KeyPair } from "../dataplane.ts";
import { trustedForwarders } from "../embedded/forwarded.ts";
import { defaultLimits, type Limits } from "../embedded/limits.ts";
import { keptOut } from "../features.ts";
import { retrySetsOf } from "../retry-sets.ts";
import { type ListenAddresses, listOf, openPort, type OpenPort, type Sockets, systemSockets } from "../sockets.ts";
import { findUser } from "../haproxy/directory.ts";
import { createReports, indexModel, type ModelIndex, type ReportOptions } from "../reports.ts";
import { selfSigned } from "../self-signed.ts";
import { capabilities, capabilitiesForHttp, refusedBy } from "./capabilities.ts";
import { authoritiesOf } from "./authorities.ts";
import { configurationText, type Layout, layout, type NginxListener, type NginxSettings } from "./configuration.ts";
import { type Control, ControlError, createControl } from "./control.ts";
import { endEarlier, type NginxProcess, startProcess } from "./process.ts";
import { findNginx, luaProgram, type NginxProgram, streamsRemedy } from "./program.ts";
import { listenForReports, readReport } from "./reports.ts";
import { type ListenerText, plainListener, textFor } from "./listener-text.ts";
import { createRowFile, type RowFile } from "./row-file.ts";
import { closeTo, createRowFiles, type RowFiles } from "./row-files.ts";
import { encodeRow } from "./encoding.ts";
import { batchesOf, type Change, createRowTable } from "./rows.ts";
import type { NginxStream } from "./stream-configuration.ts";
import { doorOf, streamPoolName, streamPoolRow, streamRowsOf } from "./stream-rows.ts";

export interface NginxOptions extends ReportOptions {
  /** Where to listen. Default: all IPv4 addresses. */
  readonly address?: ListenAddresses;
  /** CIDRs of proxies in front of this one, whose `X-Forwarded-*` are believed. Default: none. */
  readonly trustedForwarders?: readonly string[];
  /** Bounds; those of requests per endpoint, tries and avoidance are fixed here. */
  readonly limits?: Partial<Limits>;
  /** Folder for configuration, rows and sockets; kept over restarts. Default: a temporary one. */
  readonly directory?: string;
  /** The program. Default: the one that is installed. */
  readonly file?: string;
  /** Default: one for each processor, at most 8. */
  readonly workers?: number;
  /** User (and its group) of the workers, when started by root. Default: nobody. */
  readonly user?: string;
  /** Bytes of shared memory for rows. Default: 128 MiB, of which only what is used is taken. */
  readonly memory?: number;
  readonly commands?: CommandRunner;
  readonly sockets?: Sockets;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  readonly log: Logger;
}

/** Milliseconds that requests in flight get at the end. */
const grace = 10_000;
/** The same after another master has taken over: long connections may go on for so long. */
const handoverGrace = 600_000;
/** Masters that may still have connections to end; the oldest has to go when there are more. */
const mostRelieved = 8;
/**
 * Milliseconds in which a master that others take over from still answers on connections that are kept alive, each answer the last: nginx closes
 * those without a request when it is told to end, also under a request that is on its way.
 */
const relief = 5_000;
/** The row by which workers know that answers are the last on their connections. */
const lastAnswers = batchesOf([["draining", encodeRow(true)]]);

/** Longest path of a Unix socket. */
const socketPathBytes = 107;

interface Open {
  readonly id: string;
  readonly bound: BoundListener;
  readonly socket?: OpenPort;
  /** What routes have wanted of its configuration: it stays while the port is open, so that no change takes it from under a request. */
  text: ListenerText;
}

/** What a master's configuration opens. */
type Served = Required<Pick<NginxSettings, "listeners" | "streams">>;

/** A master with its workers. */
interface Master {
  readonly number: number;
  readonly process: NginxProcess;
  readonly control: Control;
  /** Those that it was started with. */
  readonly sockets: ReadonlySet<OpenPort>;
  readonly serves: Served;
  /** Aborts when it must not answer any more. */
  readonly hurry: AbortController;
}

/**
 * The data plane on nginx with its Lua module. The configuration is constant: a server for each port, and a Lua program
 * that reads rows in shared memory. Endpoints, routes, weights and certificates are rows. The listening sockets are ours: they outlive a master that
 * dies, and whatever the configuration itself must say, such as another port, is another master's, which takes over while the one before ends its connections with their next answer. `ready` rejects with `NginxMissing` when there is no such nginx.
 */
export function startNginx(options: NginxOptions): DataPlane {
  const { signal, log, clock = systemClock, commands = systemCommands, sockets = systemSockets } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const addresses = listOf(options.address);
  // Checked now, as the embedded data plane does.
  trustedForwarders(options.trustedForwarders ?? []);
  const hasForwarders = (options.trustedForwarders ?? []).length > 0;
  const workers = options.workers ?? Math.min(availableParallelism(), 8);
  const user = process.getuid?.() === 0 ? (options.user ?? "nobody") : undefined;
  const group = user === "nobody" ? nobodysGroup() : user;
  const ids = new Map<string, string>();
  const open = new Map<string, Open>();
  const table = createRowTable(limits);
  let model: RoutingModel = { listeners: [], pools: new Map() };
  let queue: Promise<unknown> = Promise.resolve();
  let running: Master | undefined;
  /** Those that another one has taken over from, until they end. */
  const relieved = new Set<Master>();
  /** Sockets that no listener needs any more, and a master that ends still has. */
  const left = new Map<OpenPort, BoundListener>();
  let masters = 0;
  let retired = false;
  let generation = 0;
  /** What the configuration in force opens. */
  let configured = "";

  interface Place {
    readonly program: NginxProgram;
    readonly directory: string;
    readonly file: RowFile;
    readonly files: RowFiles;
    /** What a client gets whose name no certificate is for. */
    readonly standard: KeyPair;
  }
  let place: Place | undefined;
  const reports = createReports(options, clock, log);
  let index: ModelIndex | undefined;
  let serving: ReadonlyMap<string, Pool> = new Map();
  let told: { close(): Promise<void> } | undefined;
  let lost = 0;

  function reported(line: string): void {
    const said = readReport(
      line,
      (index ??= { ...indexModel(model, ({ name }) => open.get(name)?.id), pool: (key) => serving.get(key) }),
    );
    if (typeof said === "object") return reports?.done(said);
    if (said !== undefined && lost === 0) log.warn({ requests: said }, "nginx had more requests than it could tell of");
    lost += said ?? 0;
    reports?.lost(said ?? 0);
  }

  async function prepare(): Promise<Place> {
    const program = await findNginx(commands, options.file);
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), "fairlead-nginx-")));
    const paths = layout(directory);
    if (Buffer.byteLength(paths.socket) > socketPathBytes)
      throw new TypeError(`${paths.socket} is too long for a socket: choose a shorter folder`);
    await mkdir(directory, { recursive: true });
    // The workers pass through, and read nothing.
    await chmod(directory, 0o711);
    await mkdir(paths.temporary, { recursive: true, mode: 0o711 });
    for (const closed of [paths.control, paths.private]) await mkdir(closed, { recursive: true, mode: 0o700 });
    const worker = user === undefined ? undefined : await findUser([user]);
    await mkdir(paths.doors, { recursive: true });
    await closeTo(paths.doors, worker);
    if (reports) {
      told = await listenForReports(paths.reports, worker, reported, log);
    }
    await cp(luaProgram, paths.program, { recursive: true });
    await endEarlier(directory, grace);
    const standard = selfSigned(clock.now());
    await writeFile(paths.certificate, standard.certificate, { mode: 0o600 });
    await writeFile(paths.key, standard.key, { mode: 0o600 });
    const file = await createRowFile(paths.rows);
    return { program, directory, file, files: await createRowFiles(paths.streams, worker), standard };
  }

  const ready = prepare().then((made) => void (place = made));
  ready.catch(() => {});

  function enqueue<T>(work: (place: Place) => Promise<T>): Promise<T> {
    const next = queue.then(async () => {
      signal.throwIfAborted();
      await ready;
      if (!place) throw new Error("nginx was not prepared");
      return work(place);
    });
    queue = next.catch(() => {});
    return next;
  }

  function idOf(name: string): string {
    let id = ids.get(name);
    if (id === undefined) ids.set(name, (id = `l${ids.size}`));
    return id;
  }

  /** Opens ports as the model asks for. What is not asked for any more stays open until nginx has let go of it (`closeLeft`). */
  async function replaceListeners(next: RoutingModel): Promise<void> {
    const wanted = new Map(next.listeners.map((listener) => [listener.name, listener]));
    for (const [name, { bound, socket }] of open) {
      const listener = wanted.get(name);
      if (listener?.protocol === bound.protocol && isSamePort(listener, bound) && bound.port !== undefined) continue;
      open.delete(name);
      if (socket) left.set(socket, bound);
    }
    for (const listener of next.listeners) {
      if (open.has(listener.name)) continue;
      const text = plainListener;
      // One that another listener has given up: nobody who connects sees a difference.
      const [socket, bound] = [...left].find(([, each]) => isSamePort(listener, each)) ?? [];
      if (socket) left.delete(socket);
      const made =
        socket && bound
          ? { socket, bound: { ...bound, name: listener.name, protocol: listener.protocol } }
          : await opened(listener);
      open.set(listener.name, { id: idOf(listener.name), ...made, text });
    }
  }

  function closeLeft(): void {
    const had = [...relieved, ...(running ? [running] : [])];
    for (const socket of left.keys()) {
      if (had.some((master) => master.sockets.has(socket))) continue;
      left.delete(socket);
      socket.close();
    }
  }

  async function opened(listener: Listener): Promise<Pick<Open, "bound" | "socket">> {
    const { name, protocol, port: wanted } = listener;
    if (isStream(protocol) && !place?.program.streams)
      return {
        bound: { name, protocol, wanted, error: `listeners for ${protocol} need more of nginx: ${streamsRemedy}` },
      };
    const made = await openPort(sockets, listener, addresses);
    if (made.bound.error) log.warn({ listener: name, wanted, port: made.bound.port }, made.bound.error);
    return made;
  }

  function served(): Served {
    const listeners: NginxListener[] = [];
    const streams: NginxStream[] = [];
    for (const { id, bound, socket, text } of open.values()) {
      const { port, protocol, wanted } = bound;
      if (port === undefined || !socket) continue;
      const { told: isTold, ends, http2, ...http } = text;
      const listener = model.listeners.find(({ name }) => name === bound.name);
      const clientPort = listener?.bindPort === undefined ? port : wanted;
      const places = socket.ends.map((end) => ({ address: end.address, port: end.port }));
      const front = place?.program.streams === undefined ? undefined : frontOf(protocol, http2, ends);
      if (front) streams.push({ id, places, protocol: front, told: isTold, ends });
      const own = { id, places, secure: protocol !== "HTTP", clientPort, ...http };
      if (front && (front === "HTTP" || ends)) listeners.push({ ...own, inside: true });
      else if (!isStream(protocol)) listeners.push(own);
    }
    return { listeners, streams };
  }

  async function write(at: Place, changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    const batches = batchesOf(changes);
    // On disk first: whoever starts from there knows no less than whoever runs.
    await at.file.append(batches, table.rows);
    // Whoever still answers on connections that are kept must know it as well; one that has ended meanwhile is asked by nobody.
    const told = Promise.allSettled(
      [...relieved].map(async ({ control }) => {
        for (const batch of batches) await control.send(batch);
      }),
    );
    if (running) {
      const { control } = running;
      for (const batch of batches) await untilAnswered(() => control.send(batch));
    }
    await told;
  }

  /** Goes on while nobody answers: nginx is being started again, from the rows on disk. */
  async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof ControlError) || error.code !== "UNREACHABLE") throw error;
        await wait(20, undefined, { signal });
      }
    }
  }

  const canDo = (): ReadonlySet<Feature> => (!place || place.program.streams ? capabilities : capabilitiesForHttp);

  const socketsOf = (): OpenPort[] => [...open.values()].flatMap(({ socket }) => socket ?? []);

  function startMaster({ program, directory }: Place, number: number, serves: Served): Master {
    const paths = layout(directory, number);
    const doors = serves.streams.flatMap(({ id }) => Object.values(doorOf).map((kind) => paths.door(id, kind)));
    const own = startProcess(program.file, ["-p", directory, "-c", paths.configuration], {
      log,
      onStart: () => {
        for (const path of [paths.socket, ...doors]) rmSync(path, { force: true });
      },
      sockets: () => socketsOf().flatMap(({ ends }) => ends.map(({ fd }) => fd)),
    });
    const control = createControl(paths.socket);
    const hurry = new AbortController();
    return { number, process: own, control, sockets: new Set(socketsOf()), serves, hurry };
  }

  /** Another one serves what this one did. */
  async function relieve(master: Master, patience: number): Promise<void> {
    relieved.add(master);
    for (const batch of lastAnswers)
      void master.control.send(batch).catch((error: unknown) => log.debug({ error: String(error) }, "nginx has ended"));
    const over = AbortSignal.any([signal, master.hurry.signal]);
    await wait(relief, undefined, { signal: over }).catch(() => {});
    await master.process.stop(signal.aborted ? grace : patience);
    relieved.delete(master);
    closeLeft();
    rmSync(layout(place?.directory ?? "", master.number).configuration, { force: true });
  }

  /** Makes nginx serve the ports that are open now. */
  async function configure(at: Place): Promise<void> {
    const { program, directory } = at;
    const serves = served();
    const wanted = JSON.stringify(serves);
    if (wanted === configured || (!running && serves.listeners.length + serves.streams.length === 0)) return;
    const before = running;
    // A reload would end idle connections at once, under requests that are on their way; and sockets are taken over only at a start.
    const number = masters++;
    const paths = layout(directory, number);
    const settings: NginxSettings = {
      directory,
      master: number,
      ...serves,
      generation: ++generation,
      trustedForwarders: options.trustedForwarders ?? [],
      limits,
      workers,
      ...(user === undefined || group === undefined ? {} : { user, group }),
      modules: [...program.modules, ...(serves.streams.length > 0 ? (program.streams ?? []) : [])],
      memory: options.memory ?? 128 << 20,
      reports: reports !== undefined,
      ...(reports?.tracing ? { tracing: reports.tracing } : {}),
    };
    await writeAuthorities(paths, serves.listeners);
    await writeFile(paths.candidate, configurationText({ ...settings, trial: true }));
    const tested = await commands.run(program.file, ["-t", "-q", "-p", directory, "-c", paths.candidate]);
    if (tested.code !== 0) throw new Error(`nginx refuses its configuration: ${tested.stderr.trim()}`);
    await writeFile(paths.configuration, configurationText(settings));
    const next = startMaster(at, number, serves);
    try {
      while ((await untilAnswered(() => next.control.generation())) !== generation)
        await wait(10, undefined, { signal });
    } catch (error) {
      // The end came before it was in force: nobody else knows of it.
      await next.process.stop(0);
      throw error;
    }
    running = next;
    configured = wanted;
    if (before) void relieve(before, handoverGrace);
    // Who would answer otherwise than the new one must be deaf before the change counts as done.
    const others = [...relieved].filter((master) => !understands(master, serves));
    for (const { hurry } of others) hurry.abort();
    await wait(0);
    await Promise.all(others.map((master) => master.process.deaf()));
    const [oldest] = relieved;
    if (relieved.size > mostRelieved && oldest) void oldest.process.stop(0);
  }

  /** Files of authorities that the configuration names; each is there before, and never changes. */
  async function writeAuthorities(paths: Layout, listeners: readonly NginxListener[]): Promise<void> {
    const named = new Set(listeners.flatMap(({ ways = [] }) => ways.flatMap(({ authorities }) => authorities ?? [])));
    for (const { tls } of model.pools.values()) {
      const found = tls && !tls.unverified ? authoritiesOf(tls) : undefined;
      if (!found || !named.delete(found.id)) continue;
      await writeFile(paths.authorities(found.id), found.pem, { mode: 0o600 });
    }
  }

  const stopped = new Promise<void>((resolve, reject) => {
    const stop = async (): Promise<void> => {
      await ready.catch(() => {});
      await queue;
      await Promise.all([...relieved, ...(running ? [running] : [])].map((each) => each.process.stop(grace)));
      for (const socket of [...socketsOf(), ...left.keys()]) socket.close();
      // Whoever waits for the last of the masters finds nothing to be closed any more.
      left.clear();
      await told?.close();
      await reports?.flush();
      await place?.file.close();
      if (options.directory === undefined && place) await rm(place.directory, { recursive: true, force: true });
    };
    whenAborted(signal, () => void stop().then(resolve, reject));
  });

  return {
    name: "nginx",
    ready,
    stopped,
    get capabilities() {
      return canDo();
    },
    apply: (configuration) =>
      enqueue(async (at) => {
        const next = configuration.model;
        if (retired) return { refused: refusedBy(next, canDo(), hasForwarders) };
        await replaceListeners(next);
        model = next;
        index = undefined;
        serving = next.pools;
        let another = false;
        const { names: retries } = retrySetsOf(next.listeners);
        for (const listener of next.listeners) {
          const own = open.get(listener.name);
          if (!own) continue;
          const text = textFor(listener, next.pools, retries, own.text);
          if (JSON.stringify(text) === JSON.stringify(own.text)) continue;
          own.text = text;
          another = true;
        }
        const refused = refusedBy(next, canDo(), hasForwarders);
        const context = {
          idOf: (listener: Listener) => open.get(listener.name)?.id,
          keyPair: configuration.keyPair,
          refused: keptOut(refused),
          users: configuration.users,
        };
        const streamRows = streamRowsOf(next, { ...context, standard: at.standard });
        const changes = table.follow(next, context);
        // Routes must never lead to a pool that is not there yet, or is gone already.
        const added = changes.filter(([, row]) => row !== undefined);
        const pools = added.filter(([name]) => name.startsWith("pool/"));
        const others = added.filter(([name]) => !name.startsWith("pool/"));
        // Rows may name only what the configuration has.
        await at.files.write(streamRows);
        if (another && running) await configure(at);
        await write(at, [...pools, ...others]);
        await configure(at);
        await write(
          at,
          changes.filter(([, row]) => row === undefined),
        );
        await at.files.prune(streamRows);
        closeLeft();
        return { refused };
      }),
    updatePools: (pools: readonly Pool[]) =>
      enqueue(async (at) => {
        for (const pool of pools) await at.files.update(streamPoolName(pool.key), streamPoolRow(pool));
        serving = derive(
          serving,
          pools.flatMap((pool) => (serving.has(pool.key) ? [[pool.key, pool] as const] : [])),
        );
        const changes = table.followPools(pools);
        await write(at, changes);
      }),
    listeners: () => [...open.values()].map(({ bound }) => bound),
    async retire(patience) {
      const last = await enqueue(() => {
        const master = running;
        retired = true;
        running = undefined;
        if (master) relieved.add(master);
        return Promise.resolve(master);
      });
      if (last) await relieve(last, patience);
    },
  };
}

/** Distributions do not agree on its name. */
function nobodysGroup(): string {
  try {
    return /^nogroup:/m.test(readFileSync("/etc/group", "utf8")) ? "nogroup" : "nobody";
  } catch {
    return "nobody";
  }
}

/** Whether a master's configuration has all that rows for these listeners may ask for: else it must not answer for long. */
function understands({ serves }: Master, next: Served): boolean {
  const same = <T extends Pick<NginxListener, "places">>(before: readonly T[], after: readonly T[]): boolean =>
    after.every((each) => {
      const own = before.find(({ places }) => JSON.stringify(places) === JSON.stringify(each.places));
      return !own || JSON.stringify(own) === JSON.stringify(each);
    });
  return same(serves.listeners, next.listeners) && same(serves.streams, next.streams);
}

/** What its first server reads of a connection, before another one inside goes on with it; absent: there is one server only. */
function frontOf(protocol: ListenerProtocol, http2: boolean, ends: boolean): NginxStream["protocol"] | undefined {
  if (protocol === "HTTP") return http2 ? "HTTP" : undefined;
  if (protocol === "HTTPS") return ends ? "TLS" : undefined;
  return protocol;
}

const isStream = (protocol: ListenerProtocol): protocol is "TLS" | "TCP" | "UDP" =>
  protocol !== "HTTP" && protocol !== "HTTPS";

/** A listener goes on with its port: what is served there may differ. */
function isSamePort(next: Listener, bound: BoundListener): boolean {
  const moved = next.address !== bound.address || (next.bindPort !== undefined && next.bindPort !== bound.port);
  return next.port === bound.wanted && (next.protocol === "UDP") === (bound.protocol === "UDP") && !moved;
}
