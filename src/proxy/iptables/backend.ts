import type { Backend } from "../backend.ts";
import { createKernelBackend, type KernelOptions } from "../kernel-backend.ts";
import type { Netlink } from "../netlink.ts";
import { createIptablesProgram } from "./program.ts";
import { rowsOfContext, rowsOfPlan } from "./rows.ts";
import type { TableSizes } from "./table-size.ts";

export interface IptablesOptions extends KernelOptions {
  /** Closed with the backend. */
  readonly netlink?: Netlink | undefined;
  /** Of the older iptables, of which netlink tells nothing. Closed with the backend. */
  readonly sizes?: TableSizes | undefined;
}

/** Milliseconds between looks at what others change: by netlink or by sizes one costs microseconds, else processes that read all rules. */
const [watchEvery, lookEvery] = [250, 1_000];

/** Services by iptables, for hosts whose other rules are made with it. */
export function createIptablesBackend(options: IptablesOptions): Backend {
  const { commands, netlink, sizes } = options;
  const { families } = options.context;
  const program = createIptablesProgram(commands, families, netlink, sizes);
  return createKernelBackend(
    {
      mode: "iptables",
      program,
      shared: ["vips", "vips6"],
      rowsOf: (_key, plan, _previous, context) => rowsOfPlan(plan, context),
      rowsOfContext,
      damage: async () => ((await program.isDamaged()) ? "all" : undefined),
      lookEvery: netlink || sizes ? watchEvery : lookEvery,
      close() {
        netlink?.close();
        sizes?.close();
      },
    },
    options,
  );
}
