import type { NodePlan, ProxyContext } from "../services/index.ts";
import type { Row } from "../tables/index.ts";
import type { ProxyMode } from "./backend.ts";
import { rowsOfPlan as iptablesRows } from "./iptables/rows.ts";
import { largestPort } from "./nftables/marks.ts";
import { createPortNumbers, rowsOfPlan as nftablesRows } from "./nftables/rows.ts";

/** The rows that a mode would make of a plan, given those it had. Pure. Nothing is put into a kernel. */
export type RowsOfPlan = (plan: NodePlan, previous: readonly Row[], context: ProxyContext) => Row[];

/** Numbers of Service ports are drawn anew in each of these, so keys are those of no running proxy. */
export function rowsOfMode(mode: ProxyMode): RowsOfPlan {
  if (mode === "iptables") return (plan, _previous, context) => iptablesRows(plan, context);
  if (mode === "userspace") return (plan) => listenerRows(plan);
  const numbers = createPortNumbers(largestPort);
  return (plan, previous, context) => nftablesRows(plan, previous, numbers, context);
}

/** User space has a listener for each frontend, and the endpoints that it leads to. */
function listenerRows(plan: NodePlan): Row[] {
  return plan.ports.flatMap((port) =>
    port.frontends.map((frontend) => {
      const pool = frontend.policy === "Local" ? port.local : port.cluster;
      return {
        table: "listeners",
        key: [frontend.address ?? "nodes", frontend.protocol.toLowerCase(), frontend.port],
        value: pool.endpoints.map(({ address, port: number }) => `${address} ${number}`),
        owner: { object: `Service ${plan.key}`, field: frontend.field },
      };
    }),
  );
}
