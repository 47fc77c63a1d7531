import type { Backend } from "../backend.ts";
import { createKernelBackend, type KernelOptions } from "../kernel-backend.ts";
import { createIptablesProgram, isIptablesProgramThere } from "./program.ts";
import { rowsOfContext, rowsOfPlan } from "./rows.ts";

/** Services by iptables, for hosts whose other rules are made with it. */
export function createIptablesBackend(options: KernelOptions): Backend {
  const { commands } = options;
  const { families } = options.context;
  return createKernelBackend(
    {
      mode: "iptables",
      program: createIptablesProgram(commands, families),
      shared: ["vips", "vips6"],
      rowsOf: (_key, plan, _previous, context) => rowsOfPlan(plan, context),
      rowsOfContext,
      isThere: () => isIptablesProgramThere(commands, families),
      lookEvery: 1000,
      close() {},
    },
    options,
  );
}
