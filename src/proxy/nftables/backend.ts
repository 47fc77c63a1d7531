import type { NodePlan } from "../../services/index.ts";
import type { Backend, FrontendState } from "../backend.ts";
import { createKernelBackend, stateOf, type KernelOptions } from "../kernel-backend.ts";
import { largestEndpoint, largestPort } from "./marks.ts";
import type { Nft } from "./nft.ts";
import type { Netlink } from "../netlink.ts";
import { createNftablesProgram } from "./program.ts";
import type { KernelState } from "./read-back.ts";
import { createPortNumbers, numberedId, rowsOfContext, rowsOfPlan } from "./rows.ts";
import { createTakeover } from "./takeover.ts";

export interface NftablesOptions extends KernelOptions {
  readonly nft: Nft;
  /** Closed with the backend. */
  readonly netlink?: Netlink | undefined;
  /** What an earlier process left: rows stay as they are where they are still wanted, and clients stay with their endpoints. */
  readonly found?: KernelState | undefined;
}

/** Milliseconds between looks by netlink at what others change: one costs microseconds. */
const watchEvery = 250;

/** Services by nftables. */
export function createNftablesBackend(options: NftablesOptions): Backend {
  const { log, nft, netlink, found } = options;
  const { families } = options.context;
  const numbers = createPortNumbers(largestPort);
  const takeover = found && createTakeover(found.rows, numbers);
  const program = createNftablesProgram(nft, families, netlink, found);
  const portsOf = new Map<string, readonly string[]>();

  /** Gives back the numbers of ports that are gone, and says what has none. */
  function noted(key: string, plan: NodePlan | undefined): FrontendState[] {
    const ports = plan?.ports.filter((port) => port.frontends.length > 0).map(numberedId) ?? [];
    for (const id of portsOf.get(key) ?? []) if (!ports.includes(id)) numbers.release(id);
    if (ports.length > 0) portsOf.set(key, ports);
    else portsOf.delete(key);

    const states: FrontendState[] = [];
    for (const port of plan?.ports ?? []) {
      const numbered = port.frontends.length === 0 || numbers.take(numberedId(port)) !== undefined;
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
    return states;
  }

  return createKernelBackend(
    {
      mode: "nftables",
      program,
      shared: ["hairpin", "hairpin6", "vips", "vips6"],
      rowsOf: (_key, plan, previous, context) =>
        rowsOfPlan(plan, previous.length === 0 && takeover ? takeover.rowsBefore(plan) : previous, numbers, context),
      rowsOfContext,
      noted,
      ...(found && takeover ? { found: found.rows, begun: () => takeover.end() } : {}),
      damage: () => program.damage(),
      lookEvery: netlink ? watchEvery : nft.lookEvery,
      close() {
        nft.close();
        netlink?.close();
      },
    },
    options,
  );
}
