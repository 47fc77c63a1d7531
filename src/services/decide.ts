import { balanceAnnotation, overrideAnnotation } from "./extras.ts";
import { addressSet, isLoopback, parseCidr, type AddressSet, type Family } from "./address.ts";
import type { ServiceEndpoint } from "./endpoints.ts";
import { endpointFor } from "./hashing.ts";
import type { Frontend, PortPlan, ProxyContext } from "./plan.ts";

/** Where a client is: in a pod, on this node itself, or elsewhere. */
export type ClientClass = "pod" | "node" | "outside";

/** What happens to the first packet of a connection, and why. */
export type Decision = {
  /** Fields that decided, most telling first, each with what it means. */
  readonly because: readonly { readonly field: string; readonly reason: string }[];
} & (
  | {
      readonly verdict: "forward";
      /** One of these, each as likely as its weight is unless affinity or `picked` says which. */
      readonly endpoints: readonly ServiceEndpoint[];
      /** The one that this client's address leads to. */
      readonly picked?: ServiceEndpoint;
      /** Whether the endpoint sees the node's address in place of the client's. A client that is the endpoint itself is always masked. */
      readonly masquerade: boolean;
      readonly affinitySeconds?: number;
    }
  /** Reset (TCP) or port unreachable: the client knows at once. */
  | { readonly verdict: "reject" }
  /** Silence, so that a load balancer tries another node. */
  | { readonly verdict: "drop" }
);

/** Tells where a client is from its address and, where pods are known by their interfaces, from the one it came in by. */
export type Classifier = (source: string, device?: string) => ClientClass;

/** As for the kernel, an address of the node in the pods' range is a pod's, and loopback is the node's. */
export function createClassifier(context: ProxyContext): Classifier {
  const isPod = podDetector(context);
  const node = new Set(context.node.addresses);
  return (source, device) =>
    isPod(source, device) ? "pod" : node.has(source) || isLoopback(source) ? "node" : "outside";
}

function podDetector({ podCidrs, podInterfaces }: ProxyContext): (source: string, device?: string) => boolean {
  const pods: AddressSet = addressSet(podCidrs);
  if (!podInterfaces) return (source) => pods.has(source);
  const exact = new Set(podInterfaces.filter((name) => !name.endsWith("*")));
  const prefixes = podInterfaces.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
  return (_source, device) =>
    device !== undefined && (exact.has(device) || prefixes.some((prefix) => device.startsWith(prefix)));
}

/** Whether pods can be told from other clients in this family. Where not, nobody is masked at a cluster IP for being no pod. */
export function tellsPods(
  { podCidrs, podInterfaces }: Pick<ProxyContext, "podCidrs" | "podInterfaces">,
  family: Family,
): boolean {
  return podInterfaces !== undefined || podCidrs.some((text) => parseCidr(text)?.family === family);
}

/**
 * Decides for a connection from `source` to `frontend` of `port`.
 *
 * The short circuits of `externalTrafficPolicy: Local` are those of Kubernetes: pods reach every endpoint and keep their
 * address; the node's own processes reach every endpoint, masked; only clients outside are held to local endpoints.
 */
export function decide(
  port: PortPlan,
  frontend: Frontend,
  source: { readonly address: string; readonly class: ClientClass },
  context: Pick<ProxyContext, "podCidrs" | "podInterfaces" | "masqueradeAll">,
): Decision {
  const from = { field: frontend.field, reason: `${frontend.kind} ${frontend.address ?? "of every node"}` };
  if (frontend.sourceRanges && !addressSet(frontend.sourceRanges).has(source.address)) {
    const reason = `${source.address} is in none of the ranges`;
    return { verdict: "drop", because: [{ field: "spec.loadBalancerSourceRanges", reason }, from] };
  }

  if (port.ordered === "drop") {
    const order = { field: `metadata.annotations[${overrideAnnotation}]`, reason: "an administrator has ordered it" };
    return { verdict: "drop", because: [order, from] };
  }
  const internal = frontend.kind === "ClusterIP";
  const policyField = internal ? "spec.internalTrafficPolicy" : "spec.externalTrafficPolicy";
  const local = frontend.policy === "Local" && (internal || source.class === "outside");
  const pool = local ? port.local : port.cluster;
  const policy = { field: policyField, reason: policyReason(frontend.policy, local, pool.choice) };
  if (pool.endpoints.length === 0) {
    return port.anywhere
      ? { verdict: "drop", because: [{ ...policy, reason: "Local, and this node has no endpoint" }, from] }
      : { verdict: "reject", because: [{ field: "endpoints", reason: "none is ready on any node" }, from] };
  }

  const masquerade = internal
    ? (context.masqueradeAll ?? false) || (source.class !== "pod" && tellsPods(context, port.family))
    : frontend.policy === "Cluster" || source.class === "node";
  const picked = port.balance === "source-hash" ? endpointFor(source.address, pool.endpoints) : undefined;
  const hashed = {
    field: `metadata.annotations[${balanceAnnotation}]`,
    reason: "source-hash: the client's address picks",
  };
  return {
    verdict: "forward",
    endpoints: pool.endpoints,
    ...(picked ? { picked } : {}),
    masquerade,
    ...(port.affinitySeconds === undefined ? {} : { affinitySeconds: port.affinitySeconds }),
    because: picked ? [policy, hashed, from] : [policy, from],
  };
}

function policyReason(policy: Frontend["policy"], local: boolean, choice: string): string {
  if (local)
    return choice === "terminating"
      ? "Local: only terminating endpoints are left here"
      : "Local: endpoints of this node";
  if (policy === "Local") return "Local, but clients inside the cluster reach every endpoint";
  if (choice === "same node") return "Cluster, kept on this node by hints";
  if (choice === "same zone") return "Cluster, kept in this zone by hints";
  return choice === "terminating" ? "Cluster: only terminating endpoints are left" : "Cluster: every ready endpoint";
}
