import { availableParallelism } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { Pool } from "../../../routing/index.ts";
import { createTurns, type Metrics, systemClock, whenAborted } from "../../../system/index.ts";
import type { DataPlane } from "../../dataplane.ts";
import { copyDescriptor } from "../../descriptors.ts";
import { refusalsOf } from "../../features.ts";
import { findUser, type SystemUser } from "../../haproxy/directory.ts";
import { listOf, type PortEnd, type Sockets, systemSockets } from "../../sockets.ts";
import { portKind } from "../bind.ts";
import { capabilities, type EmbeddedOptions, grace, startEmbedded, within } from "../embedded.ts";
import { trustedForwarders } from "../forwarded.ts";
import { defaultLimits } from "../limits.ts";
import { differenceOf } from "./difference.ts";
import { createFigureSink } from "./figures.ts";
import { createPorts, type Port } from "./ports.ts";
import { startProcess, type StartProcess, type WorkerProcess } from "./process.ts";
import type { FromWorker, Place, ToWorker } from "./protocol.ts";
import { configurationOf, emptySnapshot, sharedPart, type Snapshot, snapshotOf } from "./snapshot.ts";

export interface WorkersOptions extends EmbeddedOptions {
  /** Default: one for two cores, four at most. */
  readonly processes?: number;
  readonly sockets?: Sockets;
  readonly start?: StartProcess;
  /** Of the processes. Default: the program beside this module. */
  readonly program?: string;
}

/** What processes that serve are to be like. */
interface State {
  readonly snapshot: Snapshot;
  readonly ports: ReadonlyMap<string, Port>;
}

interface Running {
  readonly process: WorkerProcess;
  readonly answers: Map<number, (answer: Extract<FromWorker, { id: number }> | undefined) => void>;
  snapshot: Snapshot;
  /** What it has of each port: a mark of the socket and of how it is used. */
  readonly ports: Map<string, string>;
}

interface Change {
  readonly state: State;
  /** Pools that differ, when nothing else does. */
  readonly pools?: readonly Pool[];
}

/** Milliseconds until a process that ends at once is started again: doubled each time, up to the second. */
const backOff = { first: 20, most: 5_000 };

/** A process that is there again whenever it ends, with the state that it had. */
interface Keeper {
  /** Resolves when requests follow `state`. */
  follow(change: Change): Promise<void>;
  /** It is not started again, takes no new connection, and ends those that it has with their next answer. Settles when the last one is done. */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

function createKeeper(options: WorkersOptions, metrics: Metrics, user: SystemUser | undefined): Keeper {
  const { log, signal, start = startProcess, program, accessLog, tracing } = options;
  let running: Running | undefined;
  let wanted: State | undefined;
  let stopping = false;
  let number = 0;
  const inTurn = createTurns();

  async function begin(): Promise<Running> {
    const sink = createFigureSink(metrics);
    const answers: Running["answers"] = new Map();
    const process = await start({
      log,
      ...(program === undefined ? {} : { program }),
      ...(user ? { user } : {}),
      ...(accessLog === undefined ? {} : { output: accessLog }),
      onMessage(message) {
        if (message.type === "figures") return sink.add(message.figures);
        if (message.type === "spans") {
          tracing?.add(message.spans);
          if (message.lost > 0) tracing?.lost(message.lost);
          return;
        }
        const answered = answers.get(message.id);
        answers.delete(message.id);
        answered?.(message);
      },
    });
    const limits = { ...defaultLimits, ...options.limits };
    process.send({
      type: "begin",
      limits,
      trustedForwarders: options.trustedForwarders ?? [],
      accessLog: accessLog !== undefined,
      ...(tracing ? { sample: tracing.sample } : {}),
    });
    const begun: Running = { process, answers, snapshot: emptySnapshot, ports: new Map() };
    void process.ended.then((why) => {
      sink.end();
      if (running === begun) running = undefined;
      for (const answered of answers.values()) answered(undefined);
      answers.clear();
      if (stopping) return;
      log.warn({ why }, "a process that serves HTTP has ended and is started again");
      void inTurn(() => (wanted ? bring(wanted) : Promise.resolve()));
    });
    return begun;
  }

  /** False when the process ended before it answered. */
  async function ask(
    { process, answers }: Running,
    message: (id: number) => ToWorker,
    descriptors?: readonly number[],
  ): Promise<boolean> {
    const id = ++number;
    const answer = await new Promise<Extract<FromWorker, { id: number }> | undefined>((resolve) => {
      answers.set(id, resolve);
      void process.ended.then(() => resolve(undefined));
      try {
        process.send(message(id), descriptors);
      } catch {
        // It has gone; its end is told.
      }
    });
    if (answer?.type === "failed") throw new Error(`a process that serves HTTP: ${answer.why}`);
    return answer !== undefined;
  }

  async function tell(to: Running, { snapshot, ports }: State): Promise<boolean> {
    const descriptors: number[] = [];
    const places: Place[] = [];
    for (const { name, protocol } of snapshot.listeners) {
      const port = ports.get(name);
      if (!port) continue;
      const { bound, socket } = port;
      const mark = `${socket?.ends.map(({ fd }) => fd).join()} ${bound.wanted} ${bound.port} ${bound.address} ${portKind(protocol)}`;
      const fresh = socket !== undefined && to.ports.get(name) !== mark;
      to.ports.set(name, mark);
      if (fresh) descriptors.push(...socket.ends.map(({ fd }) => fd));
      places.push({ bound, ...(fresh ? { fresh: socket.ends.map(({ address }) => address) } : {}) });
    }
    const names = new Set(places.map(({ bound }) => bound.name));
    for (const name of to.ports.keys()) if (!names.has(name)) to.ports.delete(name);
    const difference = differenceOf(to.snapshot, snapshot);
    to.snapshot = snapshot;
    return ask(to, (id) => ({ type: "apply", id, difference, places }), descriptors);
  }

  async function bring(state: State): Promise<void> {
    for (let wait = backOff.first; !stopping; wait = Math.min(wait * 2, backOff.most)) {
      try {
        running ??= await begin();
        if (await tell(running, state)) return;
      } catch (error) {
        if (running) throw error;
        log.error({ err: error }, "a process that serves HTTP does not start");
      }
      await pause(wait, undefined, { signal }).catch(() => {});
    }
  }

  return {
    follow: ({ state, pools }) =>
      inTurn(async () => {
        wanted = state;
        if (pools && running) {
          running.snapshot = state.snapshot;
          if (await ask(running, (id) => ({ type: "pools", id, pools }))) return;
        }
        await bring(state);
      }),
    async drain() {
      const last = await inTurn(() => {
        stopping = true;
        return Promise.resolve(running);
      });
      if (last) await ask(last, (id) => ({ type: "drain", id }));
    },
    async stop() {
      stopping = true;
      const timer = setTimeout(() => running?.process.kill(), grace + 2_000);
      running?.process.send({ type: "stop" });
      await inTurn(() => Promise.resolve());
      running?.process.send({ type: "stop" });
      await running?.process.ended;
      clearTimeout(timer);
    },
  };
}

/**
 * The embedded data plane in processes of its own: each an unprivileged one with rows only, no credentials. The listening sockets
 * are this process's, so that connections wait while a process is started again, and several processes have the same ports.
 * A model without any pool needs no process: what it answers is answered from here.
 */
export function startEmbeddedWorkers(options: WorkersOptions): DataPlane {
  const { signal, log, metrics, clock = systemClock, sockets = systemSockets } = options;
  const count = Math.max(1, options.processes ?? Math.min(4, Math.floor(availableParallelism() / 2)));
  const ports = createPorts(sockets, listOf(options.address), log);
  const keepers: Keeper[] = [];
  let snapshot = emptySnapshot;
  let retired = false;
  const inTurn = createTurns();
  // Throws for what is no CIDR.
  trustedForwarders(options.trustedForwarders ?? []);

  const unpark = new AbortController();
  /** `idle`: it has no connection any more. */
  let parking: "serves" | "drains" | "idle" = "serves";
  const parked = startEmbedded({
    ...options,
    metrics,
    clock,
    signal: unpark.signal,
    async take({ name, protocol, port: wanted }) {
      const port = ports.current.get(name);
      const { socket, bound = { name, protocol, wanted } } = port ?? {};
      const copyOf = async (end: PortEnd) => ({ ...end, fd: await copyDescriptor(end.fd) });
      return { bound, ends: await Promise.all((socket?.ends ?? []).map(copyOf)) };
    },
  });

  /** All but the first process serve only what needs not be seen in one place. */
  const tellAll = async (pools?: readonly Pool[]): Promise<void> => {
    const state = { ports: ports.current };
    const shared = keepers.length > 1 ? sharedPart(snapshot) : snapshot;
    await Promise.all(
      keepers.map((keeper, index) =>
        keeper.follow({
          state: { ...state, snapshot: index === 0 ? snapshot : shared },
          ...(pools ? { pools } : {}),
        }),
      ),
    );
  };

  /** Connections that came before there were processes are served from here, until they end. */
  function handOver(): void {
    parking = "drains";
    void parked.drain().then(() => {
      parking = "idle";
      unpark.abort();
    });
  }

  const stopped = new Promise<void>((resolve, reject) => {
    const stop = async (): Promise<void> => {
      await inTurn(() => Promise.resolve());
      const ended = keepers.map((keeper) => keeper.stop());
      unpark.abort();
      ports.close();
      await Promise.all([...ended, parked.stopped]);
    };
    whenAborted(signal, () => void stop().then(resolve, reject));
  });

  return {
    name: "embedded",
    ready: Promise.resolve(),
    stopped,
    capabilities,
    apply: (configuration) =>
      inTurn(async () => {
        signal.throwIfAborted();
        const { model } = configuration;
        if (retired) return { refused: refusalsOf(model, capabilities) };
        const { release } = await ports.open(model.listeners);
        snapshot = snapshotOf(configuration, snapshot);
        const here = parking === "idle" ? undefined : parked.apply(configurationOf(snapshot));
        if (keepers.length > 0 || model.pools.size > 0) {
          if (keepers.length === 0) {
            const user = await findUser(["nobody"]);
            for (let i = 0; i < count; i++) keepers.push(createKeeper(options, metrics, user));
          }
          await tellAll();
        }
        await here;
        if (keepers.length > 0 && parking === "serves") handOver();
        release();
        return { refused: refusalsOf(model, capabilities) };
      }),
    updatePools: (changed) =>
      inTurn(async () => {
        const known = changed.filter(({ key }) => snapshot.pools.has(key));
        if (known.length === 0) return;
        const pools = new Map(snapshot.pools);
        for (const pool of known) pools.set(pool.key, pool);
        snapshot = { ...snapshot, pools };
        if (parking !== "idle") await parked.updatePools(known);
        await tellAll(known);
      }),
    listeners: () => [...ports.current.values()].map(({ bound }) => bound),
    async retire(patience) {
      // The sockets stay until the end: a process that has not come to it yet accepts from them.
      const last = await inTurn(() => {
        retired = true;
        return Promise.resolve([...keepers]);
      });
      const own = parking === "idle" ? Promise.resolve() : parked.drain();
      await within(patience, Promise.all([own, ...last.map((keeper) => keeper.drain())]));
    },
  };
}
