import type { Clock, CommandRunner, Logger } from "../../system/index.ts";
import type { Frontend, NodePlan, ProxyContext } from "../../services/index.ts";
import { createTables } from "../../tables/index.ts";
import type { Backend, FrontendState } from "../backend.ts";
import { told, type Syncs } from "../figures.ts";
import { createConntrackCleaner } from "./conntrack.ts";
import { largestEndpoint, largestPort } from "./marks.ts";
import type { Nft } from "./nft.ts";
import { createNftablesProgram, isNftablesProgramThere } from "./program.ts";
import { createPortNumbers, rowsOfContext, rowsOfPlan } from "./rows.ts";

export interface NftablesOptions {
  readonly nft: Nft;
  readonly context: ProxyContext;
  readonly commands: CommandRunner;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of each transaction. */
  readonly syncs?: Syncs;
}

/** Services through the kernel. The rows stay when the process ends: traffic does not depend on it. */
export function createNftablesBackend(options: NftablesOptions): Backend {
  const { signal, clock, log, nft } = options;
  let context = options.context;
  const numbers = createPortNumbers(largestPort);
  const portsOf = new Map<string, readonly string[]>();
  const problems = new Map<string, readonly FrontendState[]>();
  const conntrack = createConntrackCleaner({ commands: options.commands, log, signal });
  const program = createNftablesProgram(nft);
  const tables = createTables({
    program: options.syncs ? told(program, options.syncs) : program,
    shared: ["hairpin"],
    signal,
    clock,
    log,
    onApplied: () => conntrack.run(),
    onRefused: ({ table, key, owner }) => log.warn({ ...owner, table, key }, "a row does not fit and is left out"),
  });

  function update(key: string, plan: NodePlan | undefined): void {
    const rows = plan ? rowsOfPlan(plan, tables.rowsOf(key), numbers, context) : [];
    tables.set(key, rows);
    const ports = plan?.ports.filter((port) => port.frontends.length > 0).map((port) => port.id) ?? [];
    for (const id of portsOf.get(key) ?? []) if (!ports.includes(id)) numbers.release(id);
    if (ports.length > 0) portsOf.set(key, ports);
    else portsOf.delete(key);
    conntrack.update(key, plan);
    note(key, plan);
  }

  /** Keeps what has to be said of a Service that is not served as asked for. */
  function note(key: string, plan: NodePlan | undefined): void {
    const states = (plan?.conflicts ?? []).map(({ frontend, winner }) =>
      stateOf(key, frontend, `Service ${winner} has it`),
    );
    for (const port of plan?.ports ?? []) {
      const numbered = port.frontends.length === 0 || numbers.take(port.id) !== undefined;
      if (!numbered) {
        const problem = `this node serves no more than ${largestPort} Service ports`;
        states.push(...port.frontends.map((frontend) => stateOf(key, frontend, problem)));
      }
      const endpoints = port.cluster.endpoints.length;
      if (endpoints > largestEndpoint)
        log.warn(
          { service: key, endpoints, used: largestEndpoint },
          "a Service port has more endpoints than can be used",
        );
    }
    if (states.length > 0) problems.set(key, states);
    else problems.delete(key);
  }

  const setContext = (next: ProxyContext): void => {
    context = next;
    tables.set("", rowsOfContext(next));
  };
  setContext(context);

  /** Brings the rules back when someone else has flushed them, as `nft flush ruleset` of a firewall script does. */
  async function guard(): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(nft.lookEvery, signal).catch(() => {});
      if (signal.aborted || tables.failure || (await isNftablesProgramThere(nft))) continue;
      log.warn({}, "the rules of the proxy are gone from the kernel: they are put back");
      tables.rebuild();
    }
  }

  return {
    mode: "nftables",
    update,
    setContext,
    start() {
      tables.start();
      void tables.settled().then(guard, () => {});
    },
    settled: () => tables.settled(),
    frontends: (service) => (service === undefined ? [...problems.values()].flat() : (problems.get(service) ?? [])),
    get failure() {
      return tables.failure;
    },
    stopped: tables.stopped.then(() => nft.close()),
  };
}

function stateOf(service: string, { kind, protocol, address, port }: Frontend, problem: string): FrontendState {
  return { service, kind, protocol, port, problem, ...(address ? { address } : {}) };
}
