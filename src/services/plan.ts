import { keyOf, type EndpointSlice, type Service } from "../kube/index.ts";
import { addressSet, isLoopback, isProxyable, parseCidr, readAddress, withoutNested, type Family } from "./address.ts";
import { endpointsOfPort, isPort, type Protocol, type ServiceEndpoint } from "./endpoints.ts";
import { extrasOf, weighted, type Balance, type Extras } from "./extras.ts";
import { poolsOf, type NodeView, type Pool, type Pools } from "./pools.ts";

/** What the decision depends on beside the objects. */
export interface ProxyContext {
  /** The families that are served; each has its own frontends and endpoints, and they share nothing (KEP-563). */
  readonly families: readonly Family[];
  readonly node: NodeView;
  /**
   * Where pods have their addresses, of both families: how a client inside the cluster is told from one outside (kube-proxy's
   * `--detect-local-mode` ClusterCIDR and NodeCIDR). With no range of a family, and no `podInterfaces`, pods are not told from
   * others there: nobody is masked at a cluster IP, and nobody is exempt from `externalTrafficPolicy: Local` as a pod.
   */
  readonly podCidrs: readonly string[];
  /**
   * Names of the interfaces behind which this node's pods are, in place of `podCidrs`: `cni0`, or `cali*` for all that begin so
   * (`--detect-local-mode` BridgeInterface and InterfaceNamePrefix).
   */
  readonly podInterfaces?: readonly string[];
  /** Addresses in these ranges that no Service has are refused. */
  readonly serviceCidrs: readonly string[];
  /** Clients of a cluster IP are masked as the node, whoever they are (`--masquerade-all`). */
  readonly masqueradeAll?: boolean;
}

export type FrontendKind = "ClusterIP" | "NodePort" | "ExternalIP" | "LoadBalancer";
export type TrafficPolicy = "Cluster" | "Local";

/** One address and port at which a Service port answers. */
export interface Frontend {
  readonly kind: FrontendKind;
  /** Absent for a NodePort: every node address answers. */
  readonly address?: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly policy: TrafficPolicy;
  /** Only these clients may come in, as CIDRs; absent: all. */
  readonly sourceRanges?: readonly string[];
  /** The field that gave the address or the port. */
  readonly field: string;
}

/** What one port of a Service does on this node for one address family. */
export interface PortPlan {
  /** `namespace/name:port name/protocol`: unique within its family, and stable over updates. */
  readonly id: string;
  readonly family: Family;
  readonly name: string;
  readonly protocol: Protocol;
  readonly frontends: readonly Frontend[];
  readonly cluster: Pool;
  readonly local: Pool;
  /** All endpoints that may still answer, wherever they are: flows that exist may stay with these. */
  readonly serving: readonly ServiceEndpoint[];
  /** Whether some frontend has policy Local. */
  readonly usesLocal: boolean;
  /** Whether an endpoint exists anywhere: a client without one in its scope is refused when not, dropped when so. */
  readonly anywhere: boolean;
  /** An administrator has ordered that nobody is answered. */
  readonly ordered?: "drop";
  /** An administrator wants new connections to be told of, up to a limit. */
  readonly log?: true;
  /** How an endpoint is chosen; absent: at random, or in turn. */
  readonly balance?: Balance;
  /** For so many seconds a connection waits for an endpoint, where the mode can let it. */
  readonly holdSeconds?: number;
  /** Established TCP connections to endpoints that are gone are ended. */
  readonly resetRemoved?: true;
  /** Seconds that a client address stays with an endpoint; absent: no affinity. */
  readonly affinitySeconds?: number;
}

/** What a Service does on this node. */
export interface ServicePlan {
  /** `namespace/name`. */
  readonly key: string;
  readonly ports: readonly PortPlan[];
  /** Why the proxy leaves this Service alone, and the field that says so. */
  readonly ignored?: { readonly field: string; readonly reason: string };
  /** The health check that load balancers ask with `externalTrafficPolicy: Local`. */
  readonly healthCheck?: { readonly port: number; readonly localEndpoints: number };
}

export const proxyNameLabel = "service.kubernetes.io/service-proxy-name";
export const headlessLabel = "service.kubernetes.io/headless";
const defaultAffinitySeconds = 10_800;

/** Decides what a node's proxy does for one Service. Pure; costs what the Service's own endpoints are. */
export function planService(service: Service, slices: Iterable<EndpointSlice>, context: ProxyContext): ServicePlan {
  const key = keyOf(service);
  const ignored = whyIgnored(service, context.families);
  if (ignored) return { key, ports: [], ignored };

  const all = [...slices];
  const external = externalPolicy(service);
  const internal: TrafficPolicy = service.spec.internalTrafficPolicy === "Local" ? "Local" : "Cluster";
  const usesLocal = internal === "Local" || external === "Local";
  const affinitySeconds = affinityOf(service);
  const localAddresses = new Set<string>();
  const families = familiesOf(service);
  const allowLoopback = livesOnLoopback(context);
  const seen = new Set<string>();
  const extras = extrasOf(service);
  const orders = ordersOf(extras, affinitySeconds !== undefined);

  const planPort = (family: Family, port: SpecPort, index: number): PortPlan => {
    const name = port.name ?? "";
    const protocol = protocolOf(port.protocol);
    const endpoints = endpointsOfPort(all, { family, name, protocol, allowLoopback });
    const pools = poolsOf(endpoints, context.node);
    // The load balancer's health check must fail while only terminating endpoints are left (KEP-1669).
    if (pools.local.choice === "ready") for (const { address } of pools.local.endpoints) localAddresses.add(address);
    return {
      id: `${key}:${name}/${protocol}`,
      family,
      name,
      protocol,
      ...withExtras(pools, extras),
      usesLocal,
      frontends: frontendsOf(service, { family, port: port.port, nodePort: port.nodePort, protocol, index }, context, {
        internal,
        external,
      }),
      ...(affinitySeconds === undefined ? {} : { affinitySeconds }),
      ...orders,
    };
  };
  const ports = context.families
    .filter((family) => families.has(family))
    .flatMap((family) =>
      (service.spec.ports ?? []).flatMap((port, index) => {
        const plan = planPort(family, port, index);
        // The API refuses a name twice. From elsewhere, the first has it.
        const isTwice = seen.has(`${family} ${plan.id}`);
        seen.add(`${family} ${plan.id}`);
        return isTwice ? [] : [plan];
      }),
    );

  const healthPort =
    service.spec.type === "LoadBalancer" && external === "Local" ? service.spec.healthCheckNodePort : 0;
  return {
    key,
    ports,
    ...(healthPort ? { healthCheck: { port: healthPort, localEndpoints: localAddresses.size } } : {}),
  };
}

/** What annotations ask for of every port. */
function ordersOf({ drop, log, balance, holdSeconds, resetRemoved }: Extras, hasAffinity: boolean) {
  const hashes = balance === "source-hash";
  return {
    ...(drop ? { ordered: "drop" as const } : {}),
    ...(log ? { log: true as const } : {}),
    // Who stays with an endpoint anyway is not led by a hash.
    ...(balance && !(hashes && hasAffinity) ? { balance } : {}),
    ...(holdSeconds === undefined ? {} : { holdSeconds }),
    ...(resetRemoved ? { resetRemoved: true as const } : {}),
  };
}

/** The pools as annotations ask for them; the same where there are none. */
function withExtras(pools: Pools, { drop, weightOf }: Extras): Pools {
  if (drop) {
    const nobody: Pool = { endpoints: [], choice: "none" };
    return { ...pools, cluster: nobody, local: nobody, anywhere: true };
  }
  if (!weightOf) return pools;
  const share = (pool: Pool): Pool => ({ ...pool, endpoints: weighted(pool.endpoints, weightOf) });
  return { ...pools, cluster: share(pools.cluster), local: share(pools.local) };
}

function whyIgnored(service: Service, served: readonly Family[]): ServicePlan["ignored"] {
  const { labels } = service.metadata;
  const { type, clusterIP } = service.spec;
  if (labels?.[proxyNameLabel] !== undefined)
    return { field: `metadata.labels[${proxyNameLabel}]`, reason: "another proxy serves it" };
  if (labels?.[headlessLabel] !== undefined)
    return { field: `metadata.labels[${headlessLabel}]`, reason: "it is marked headless: only DNS answers for it" };
  if (type === "ExternalName") return { field: "spec.type", reason: "ExternalName is a DNS alias, nothing is proxied" };
  if (clusterIP === "None") return { field: "spec.clusterIP", reason: "headless: DNS gives the endpoints' addresses" };
  if (!clusterIP) return { field: "spec.clusterIP", reason: "no cluster IP has been allocated yet" };
  const families = familiesOf(service);
  if (!served.some((family) => families.has(family)))
    return { field: "spec.clusterIPs", reason: `it has no ${served.join(" or ")} address` };
  return undefined;
}

/** The families of a Service's cluster IPs: those in which it is served. */
function familiesOf(service: Service): Set<Family> {
  return new Set(clusterIPs(service).flatMap(({ address }) => readAddress(address)?.family ?? []));
}

type SpecPort = NonNullable<Service["spec"]["ports"]>[number];

const onLoopback = new WeakMap<readonly string[], boolean>();

/** Without root the whole cluster is on loopback addresses. The same for all Services of a node: found out once. */
export function livesOnLoopback({ serviceCidrs }: Pick<ProxyContext, "serviceCidrs">): boolean {
  let found = onLoopback.get(serviceCidrs);
  if (found === undefined) {
    found = serviceCidrs.some((text) => isLoopback(parseCidr(text)?.network ?? ""));
    onLoopback.set(serviceCidrs, found);
  }
  return found;
}

interface PortOfSpec {
  readonly family: Family;
  readonly port: number;
  readonly nodePort: number | undefined;
  readonly protocol: Protocol;
  readonly index: number;
}

function frontendsOf(
  service: Service,
  { family, port, nodePort, protocol, index }: PortOfSpec,
  context: ProxyContext,
  policies: { internal: TrafficPolicy; external: TrafficPolicy },
): Frontend[] {
  const { spec, status } = service;
  const allowLoopback = livesOnLoopback(context);
  const frontends: Frontend[] = [];
  const add = (kind: FrontendKind, text: string, field: string, rest: Partial<Frontend> = {}) => {
    const read = readAddress(text);
    if (read?.family !== family || !isProxyable(read.address, allowLoopback) || !isPort(port)) return;
    const { address } = read;
    if (frontends.some((other) => other.address === address)) return;
    const policy = kind === "ClusterIP" ? policies.internal : policies.external;
    frontends.push({ kind, address, port, protocol, policy, field, ...rest });
  };

  for (const { address, field } of clusterIPs(service)) add("ClusterIP", address, field);
  for (const [i, address] of (spec.externalIPs ?? []).entries()) add("ExternalIP", address, `spec.externalIPs[${i}]`);
  if (spec.type === "LoadBalancer") {
    for (const [i, ingress] of (status?.loadBalancer?.ingress ?? []).entries()) {
      // With mode Proxy traffic has to pass the real load balancer, even from inside (KEP-1860).
      if (!ingress.ip || ingress.ipMode === "Proxy") continue;
      const ranges = sourceRanges(service, ingress.ip, family, context.node);
      add("LoadBalancer", ingress.ip, `status.loadBalancer.ingress[${i}].ip`, ranges ? { sourceRanges: ranges } : {});
    }
  }
  if ((spec.type === "NodePort" || spec.type === "LoadBalancer") && isPort(nodePort)) {
    const field = `spec.ports[${index}].nodePort`;
    frontends.push({ kind: "NodePort", port: nodePort, protocol, policy: policies.external, field });
  }
  return frontends;
}

/**
 * Who may use a load-balancer address. A node that may is let in by that address as well: where it is bound to the
 * node itself, the node's own packets to it carry it as their source.
 */
function sourceRanges(service: Service, vip: string, family: Family, node: NodeView): string[] | undefined {
  const cidrs = (service.spec.loadBalancerSourceRanges ?? [])
    .map(parseCidr)
    .filter((cidr) => cidr !== undefined)
    .filter((cidr) => cidr.family === family);
  if (cidrs.length === 0) return undefined;
  const allowed = withoutNested(cidrs);
  const own = parseCidr(`${vip}/${family === "IPv4" ? 32 : 128}`);
  const inRange = addressSet(allowed.map(({ text }) => text));
  // As kube-proxy: a range that holds an address of the node, in its own family.
  const nodeMay = node.addresses.some((address) => inRange.has(address));
  return withoutNested(nodeMay && own ? [...allowed, own] : allowed).map(({ text }) => text);
}

function clusterIPs(service: Service): { address: string; field: string }[] {
  const { clusterIP = "", clusterIPs: all } = service.spec;
  if (all && all.length > 0) return all.map((address, i) => ({ address, field: `spec.clusterIPs[${i}]` }));
  return [{ address: clusterIP, field: "spec.clusterIP" }];
}

/** externalTrafficPolicy counts only for Services that can be reached from outside. */
function externalPolicy({ spec }: Service): TrafficPolicy {
  const reachable = spec.type === "LoadBalancer" || spec.type === "NodePort" || (spec.externalIPs ?? []).length > 0;
  return reachable && spec.externalTrafficPolicy === "Local" ? "Local" : "Cluster";
}

function affinityOf({ spec }: Service): number | undefined {
  if (spec.sessionAffinity !== "ClientIP") return undefined;
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? defaultAffinitySeconds;
  // The API takes 1 to 86400. From elsewhere, what it would have refused is the default.
  return Number.isInteger(seconds) && seconds > 0 && seconds <= 86_400 ? seconds : defaultAffinitySeconds;
}

function protocolOf(protocol: string | undefined): Protocol {
  return protocol === "UDP" || protocol === "SCTP" ? protocol : "TCP";
}
