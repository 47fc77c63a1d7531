import { balanceAnnotation, holdAnnotation, type NodePlan } from "../services/index.ts";
import type { ProxyMode } from "./backend.ts";

/** What annotations of a Service ask for and a mode cannot do: each in words for the user. */
export function beyondMode(plan: NodePlan | undefined, mode: ProxyMode): string[] {
  const port = plan?.ports[0];
  if (!port || mode === "userspace") return [];
  const field = (annotation: string) => `metadata.annotations[${annotation}]`;
  const random = "endpoints are drawn at random";
  return [
    ...(port.balance === "least-connections"
      ? [`${field(balanceAnnotation)}: ${mode} mode does not count connections: ${random}; userspace mode does`]
      : []),
    ...(port.balance === "source-hash" && mode === "iptables"
      ? [`${field(balanceAnnotation)}: iptables mode has no such choice: ${random}; nftables and userspace mode have`]
      : []),
    ...(port.holdSeconds === undefined
      ? []
      : [`${field(holdAnnotation)}: ${mode} mode refuses at once where there is no endpoint; userspace mode waits`]),
  ];
}
