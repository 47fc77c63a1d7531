import type { Clock, CommandRunner, Logger } from "../system/index.ts";
import type { Frontend, NodePlan, Packet, ProxyContext } from "../services/index.ts";
import { createTables, isolating, type Program, type Row } from "../tables/index.ts";
import type { Backend, FrontendState, ProxyMode } from "./backend.ts";
import { connectionsInKernel } from "./connections.ts";
import { createConntrackCleaner } from "./conntrack.ts";
import { told, type Syncs } from "./figures.ts";

export interface KernelOptions {
  readonly context: ProxyContext;
  readonly commands: CommandRunner;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of each transaction. */
  readonly syncs?: Syncs;
  /** The Service that a packet goes to; absent: connections are not told apart. */
  readonly serviceOf?: (packet: Packet) => string | undefined;
}

/** What differs between the programs that the kernel runs. */
export interface KernelProgram {
  readonly mode: ProxyMode;
  readonly program: Program;
  /** Tables whose rows several Services may ask for. */
  readonly shared: readonly string[];
  /** The rows of a Service; `previous` are those it has. */
  rowsOf(key: string, plan: NodePlan, previous: readonly Row[], context: ProxyContext): Row[];
  rowsOfContext(context: ProxyContext): Row[];
  /** The plan of a Service is in the tables: numbers that it no longer needs can be given back, and what does not fit is told. */
  noted?(key: string, plan: NodePlan | undefined): readonly FrontendState[];
  /** Rows that an earlier process left in force and this one takes over. */
  readonly found?: readonly Row[];
  /** All Services have come: what was kept for those that were expected is free. */
  begun?(): void;
  /**
   * What somebody else has done to it since the last look: nothing, changed rows in these tables, or so much that all has to be built anew,
   * as `nft flush ruleset` of a firewall script does.
   */
  damage(): Promise<undefined | readonly string[] | "all">;
  /** Milliseconds between looks at that. */
  readonly lookEvery: number;
  close(): void;
}

/** Milliseconds between two looks where everything has had to be built anew each time. */
const longestRest = 1_000;

/** Services through the kernel. The rows stay when the process ends: traffic does not depend on it. */
export function createKernelBackend(kernel: KernelProgram, options: KernelOptions): Backend {
  const { clock, log } = options;
  const retired = new AbortController();
  const signal = AbortSignal.any([options.signal, retired.signal]);
  let context = options.context;
  const problems = new Map<string, readonly FrontendState[]>();
  const conntrack = createConntrackCleaner({
    context,
    commands: options.commands,
    log,
    signal,
    ...(options.syncs ? { cleaned: options.syncs.cleaned } : {}),
  });
  const program = isolating(kernel.program);
  const tables = createTables({
    program: options.syncs ? told(program, options.syncs, kernel.mode) : program,
    shared: kernel.shared,
    signal,
    clock,
    log,
    onApplied: () => conntrack.run(),
    onRefused: ({ table, key, owner }) => log.warn({ ...owner, table, key }, "a row is not taken and is left out"),
  });

  const setContext = (next: ProxyContext): void => {
    context = next;
    conntrack.setContext(next);
    tables.set("", kernel.rowsOfContext(next));
  };
  setContext(context);

  /** Puts back what somebody else has changed. */
  async function guard(): Promise<void> {
    let rest = kernel.lookEvery;
    while (!signal.aborted) {
      await clock.sleep(rest, signal).catch(() => {});
      if (signal.aborted || tables.failure) continue;
      const damage = await kernel.damage().catch((error: unknown) => {
        log.warn({ error: String(error) }, "whether the rules are whole cannot be told: they are put back");
        return "all" as const;
      });
      // Who undoes all of it again and again is not fought for every millisecond.
      rest = damage === "all" ? Math.min(rest * 2, longestRest) : kernel.lookEvery;
      if (damage === undefined || signal.aborted) continue;
      if (damage === "all") {
        log.warn({}, "the rules of the proxy are gone from the kernel or changed: they are put back");
        tables.rebuild();
        await tables.settled().catch(() => {});
        continue;
      }
      const rows = await tables.verify(damage);
      if (rows !== 0) log.warn({ tables: damage, rows }, "somebody has changed rows of the proxy: they are put right");
    }
  }

  return {
    mode: kernel.mode,
    update(key, plan) {
      tables.set(key, plan ? kernel.rowsOf(key, plan, tables.rowsOf(key), context) : []);
      conntrack.update(key, plan);
      const states = [
        ...(plan?.conflicts ?? []).map(({ frontend, winner }) => stateOf(key, frontend, `Service ${winner} has it`)),
        ...(kernel.noted?.(key, plan) ?? []),
      ];
      if (states.length > 0) problems.set(key, states);
      else problems.delete(key);
    },
    setContext,
    start() {
      tables.start(kernel.found);
      kernel.begun?.();
      // Flows may be stale even where no row has changed.
      void tables.settled().then(
        () => {
          conntrack.run();
          guard().catch(
            (error: unknown) => signal.aborted || log.error({ error: String(error) }, "rules are not watched"),
          );
        },
        () => {},
      );
    },
    settled: () => tables.settled(),
    frontends: (service) => (service === undefined ? [...problems.values()].flat() : (problems.get(service) ?? [])),
    get failure() {
      return tables.failure;
    },
    repair: () => tables.rebuild(),
    retire() {
      retired.abort(new Error("another mode serves from now on"));
      return tables.stopped.catch(() => {});
    },
    connections: () => [],
    serviceConnections: async () =>
      options.serviceOf ? connectionsInKernel(options.commands, context.families, options.serviceOf) : [],
    stopped: tables.stopped.then(() => kernel.close()),
  };
}

/** A frontend that is not simply as asked for. */
export function stateOf(service: string, { kind, protocol, address, port }: Frontend, problem: string): FrontendState {
  return { service, kind, protocol, port, problem, ...(address ? { address } : {}) };
}
