import { servesWhileTerminating, type ServiceEndpoint } from "./endpoints.ts";

/** The node on which the decision is made. */
export interface NodeView {
  readonly name: string;
  /** Label `topology.kubernetes.io/zone`. */
  readonly zone?: string;
  /** The node's own addresses, of both families. */
  readonly addresses: readonly string[];
  /** The ranges in which NodePorts answer, of those addresses (`--nodeport-addresses`). Absent: on all of them. */
  readonly nodePortAddresses?: readonly string[];
}

/** How the endpoints of a pool came to be chosen; `explain` words it. */
export type PoolChoice = "ready" | "same node" | "same zone" | "terminating" | "none";

export interface Pool {
  readonly endpoints: readonly ServiceEndpoint[];
  readonly choice: PoolChoice;
}

export interface Pools {
  /** What traffic policy Cluster reaches from this node. */
  readonly cluster: Pool;
  /** What traffic policy Local reaches on this node. */
  readonly local: Pool;
  /** All endpoints that may still answer, wherever they are: flows that exist may stay with these. */
  readonly serving: readonly ServiceEndpoint[];
  /** Whether any endpoint of the Service port, on whatever node, takes new connections. */
  readonly anywhere: boolean;
}

/**
 * Splits the endpoints of a Service port into what each traffic policy reaches from `node`.
 *
 * Within each policy's scope ready endpoints count, and only when there is none those that serve while terminating
 * (KEP-1669). Topology hints narrow the cluster scope, when every ready endpoint carries them and one points here:
 * node hints first, then zone hints (KEP-2433, KEP-3015); they are not looked at for the terminating ones.
 */
export function poolsOf(endpoints: readonly ServiceEndpoint[], node: NodeView): Pools {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  const terminating = endpoints.filter((endpoint) => !endpoint.ready && servesWhileTerminating(endpoint));
  const isLocal = (endpoint: ServiceEndpoint) => endpoint.nodeName === node.name;
  return {
    cluster: ready.length > 0 ? nearest(ready, node) : fallback(terminating),
    local: ready.some(isLocal)
      ? { endpoints: ready.filter(isLocal), choice: "ready" }
      : fallback(terminating.filter(isLocal)),
    serving: endpoints.filter((endpoint) => endpoint.ready || endpoint.serving),
    anywhere: ready.length + terminating.length > 0,
  };
}

function nearest(ready: readonly ServiceEndpoint[], node: NodeView): Pool {
  if (ready.every((endpoint) => endpoint.nodeHints.length > 0)) {
    const here = ready.filter((endpoint) => endpoint.nodeHints.includes(node.name));
    if (here.length > 0) return { endpoints: here, choice: "same node" };
  }
  const { zone } = node;
  if (zone && ready.every((endpoint) => endpoint.zoneHints.length > 0)) {
    const here = ready.filter((endpoint) => endpoint.zoneHints.includes(zone));
    if (here.length > 0) return { endpoints: here, choice: "same zone" };
  }
  return { endpoints: ready, choice: "ready" };
}

function fallback(terminating: readonly ServiceEndpoint[]): Pool {
  return { endpoints: terminating, choice: terminating.length > 0 ? "terminating" : "none" };
}
