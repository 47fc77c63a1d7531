import type { NodePlan } from "../../services/index.ts";
import type { Backend, FrontendState } from "../backend.ts";
import { createKernelBackend, stateOf, type KernelOptions } from "../kernel-backend.ts";
import { largestEndpoint, largestPort } from "./marks.ts";
import type { Nft } from "./nft.ts";
import { createNftablesProgram, isNftablesProgramThere } from "./program.ts";
import { createPortNumbers, numberedId, rowsOfContext, rowsOfPlan } from "./rows.ts";

/** Services by nftables. */
export function createNftablesBackend(options: KernelOptions & { readonly nft: Nft }): Backend {
  const { log, nft } = options;
  const { families } = options.context;
  const numbers = createPortNumbers(largestPort);
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
      program: createNftablesProgram(nft, families),
      shared: ["hairpin", "hairpin6", "vips", "vips6"],
      rowsOf: (_key, plan, previous, context) => rowsOfPlan(plan, previous, numbers, context),
      rowsOfContext,
      noted,
      isThere: () => isNftablesProgramThere(nft, families),
      lookEvery: nft.lookEvery,
      close: () => nft.close(),
    },
    options,
  );
}
