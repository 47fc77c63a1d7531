import {
  isConditionTrue,
  keyOf,
  matchesLabels,
  parseIp,
  type EndpointSlice,
  type IpFamily,
  type Node,
  type Service,
} from "../kube/index.ts";
import type { AddressClaimSpec, AnnounceSpec } from "./definitions.ts";

/** What decides whether packets for an address can be served on a node. */
export interface TrafficState {
  readonly node: string;
  readonly service: (key: string) => Service | undefined;
  /** Slices of a Service. */
  readonly slices: (key: string) => readonly EndpointSlice[];
}

/** Well-known label of nodes that load balancers leave out (KEP-1143). */
const excluded = "node.kubernetes.io/exclude-from-external-load-balancers";

/** Whether a node takes part in announcing addresses at all. Whether it lives is for the protocol to find out. */
export function mayAnnounce(node: Node, family: IpFamily, { nodeSelector }: AnnounceSpec): boolean {
  if (node.metadata.deletionTimestamp || nodeAddress(node, family) === undefined) return false;
  const { labels } = node.metadata;
  if (labels?.[excluded] !== undefined) return false;
  return nodeSelector === undefined || matchesLabels(nodeSelector, labels);
}

/** A node's own address of a family. */
export function nodeAddress({ status }: Node, family: IpFamily): string | undefined {
  return status?.addresses?.find(({ type, address }) => type === "InternalIP" && parseIp(address)?.family === family)
    ?.address;
}

/** A node that is cordoned or about to go gives up what it announces, as long as there is another. */
export function drainReason(node: Node, others: readonly Node[]): string | undefined {
  const leaving = (one: Node): string | undefined => {
    if (one.spec?.unschedulable) return `node ${one.metadata.name} is cordoned`;
    const taint = one.spec?.taints?.find(({ key }) => key === "ToBeDeletedByClusterAutoscaler");
    return taint && `node ${one.metadata.name} is about to be deleted`;
  };
  const stays = others.some((other) => !leaving(other) && isConditionTrue(other.status?.conditions, "Ready"));
  return stays ? leaving(node) : undefined;
}

/**
 * What a node is for the addresses of some claims: `first`, as good as any; `fallback`, only where no other is better; or why no packet to
 * any of them would be served here.
 */
export type Standing = { readonly is: "first" | "fallback" } | { readonly is: "barred"; readonly reason: string };

/** Pure. Endpoints that end but still serve count where there are no ready ones (KEP-1669). */
export function standingOf(
  state: TrafficState,
  claims: readonly AddressClaimSpec[],
  { withoutEndpoints }: AnnounceSpec,
): Standing {
  let reason: string | undefined;
  let isFallback = false;
  for (const owner of claims.flatMap(({ owners }) => owners ?? [])) {
    const key = keyOf({ metadata: owner });
    const service = state.service(key);
    const local = service?.spec.externalTrafficPolicy === "Local";
    // An owner that is no Service is served as long as it has the address.
    if (owner.kind !== "Service" || !service || (!local && withoutEndpoints !== "Withdraw")) return { is: "first" };
    const endpoints = state.slices(key).flatMap((slice) => slice.endpoints ?? []);
    const isHere = ({ nodeName }: { nodeName?: string }) => !local || nodeName === state.node;
    const ready = endpoints.filter(({ conditions }) => conditions?.ready ?? true);
    if (ready.some(isHere)) return { is: "first" };
    const ending = endpoints.filter(({ conditions }) => conditions?.terminating && (conditions.serving ?? true));
    // Nobody anywhere: the address stays, and connections are refused.
    if (local && ready.length + ending.length === 0 && withoutEndpoints !== "Withdraw") return { is: "first" };
    if (ending.some(isHere)) isFallback = true;
    reason ??= local ? `Service ${key} has no ready endpoint on node ${state.node}` : `Service ${key} has no endpoint`;
  }
  if (isFallback) return { is: "fallback" };
  return reason === undefined ? { is: "first" } : { is: "barred", reason };
}
