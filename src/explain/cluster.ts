import type { ClusterView } from "../dns/index.ts";
import { type EndpointSlice, keyOf, type Node, type Pod, type Service } from "../kube/index.ts";
import {
  createServiceModel,
  familiesIn,
  type Family,
  familyOf,
  type ProxyContext,
  type ServiceModel,
} from "../services/index.ts";
import type { ClusterObjects } from "./exposure.ts";
import { slicesByService } from "./slices.ts";

/** What is known of a cluster beside its objects. */
export interface ClusterFacts {
  readonly clusterDomain: string;
  /** Where pods have their addresses, as the proxy was told. Empty: what the nodes' `spec.podCIDRs` say. */
  readonly podCidrs: readonly string[];
  /** Where Services have theirs. Empty: what the ServiceCIDRs say. */
  readonly serviceCidrs: readonly string[];
}

/** A cluster's objects at one moment, to be asked. */
export interface Cluster {
  readonly objects: ClusterObjects;
  readonly facts: ClusterFacts;
  service(key: string): Service | undefined;
  slices(key: string): readonly EndpointSlice[];
  pod(key: string): Pod | undefined;
  node(name: string): Node | undefined;
  /** The pod that has an address of its own; pods of the host network share the node's. */
  podAt(address: string): Pod | undefined;
  nodeAt(address: string): Node | undefined;
  readonly dns: ClusterView;
  /** What the proxy of a node is to do. Made once for each. */
  modelOf(node: string): ServiceModel;
}

/** Indexes a cluster's objects. Pure. */
export function createCluster(objects: ClusterObjects, facts: ClusterFacts): Cluster {
  const services = new Map(objects.services.map((service) => [keyOf(service), service]));
  const slices = slicesByService(objects.slices);
  const pods = new Map(objects.pods.map((pod) => [keyOf(pod), pod]));
  const nodes = new Map(objects.nodes.map((node) => [node.metadata.name, node]));
  const podAt = new Map<string, Pod>();
  for (const pod of objects.pods) {
    if (pod.spec.hostNetwork || isOver(pod)) continue;
    for (const address of podAddresses(pod)) podAt.set(address, pod);
  }
  const nodeAt = new Map<string, Node>();
  for (const node of objects.nodes) for (const address of nodeAddresses(node)) nodeAt.set(address, node);
  const models = new Map<string, ServiceModel>();

  const of = (key: string) => slices.get(key) ?? [];
  const dns: ClusterView = {
    service: (namespace, name) => services.get(`${namespace}/${name}`),
    slices: (namespace, name) => of(`${namespace}/${name}`),
    hasNamespace: () => true,
    hasPod: (namespace, ip) => podAt.get(ip)?.metadata.namespace === namespace,
    servicesAt: (ip) => objects.services.filter(({ spec }) => (spec.clusterIPs ?? [spec.clusterIP]).includes(ip)),
    slicesAt: (ip) => objects.slices.filter((slice) => slice.endpoints?.some((one) => one.addresses.includes(ip))),
  };

  return {
    objects,
    facts,
    service: (key) => services.get(key),
    slices: of,
    pod: (key) => pods.get(key),
    node: (name) => nodes.get(name),
    podAt: (address) => podAt.get(address),
    nodeAt: (address) => nodeAt.get(address),
    dns,
    modelOf(node) {
      const known = models.get(node);
      if (known) return known;
      const model = createServiceModel(contextOf(objects, facts, nodes.get(node), node));
      for (const service of objects.services) model.upsertService(service);
      for (const slice of objects.slices) model.upsertSlice(slice);
      models.set(node, model);
      return model;
    },
  };
}

function contextOf(objects: ClusterObjects, facts: ClusterFacts, node: Node | undefined, name: string): ProxyContext {
  const zone = node?.metadata.labels?.["topology.kubernetes.io/zone"];
  const addresses = node ? nodeAddresses(node) : [];
  const podCidrs = podCidrsOf(objects, facts);
  const serviceCidrs = serviceCidrsOf(objects, facts);
  return {
    families: familiesIn([...addresses, ...podCidrs, ...serviceCidrs]),
    node: { name, addresses, ...(zone ? { zone } : {}) },
    podCidrs,
    serviceCidrs,
  };
}

/** Where pods have their addresses. */
export function podCidrsOf(objects: ClusterObjects, facts: ClusterFacts): readonly string[] {
  if (facts.podCidrs.length > 0) return facts.podCidrs;
  return objects.nodes.flatMap(({ spec }) => spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []));
}

/** Where Services have their addresses. */
export function serviceCidrsOf(objects: ClusterObjects, facts: ClusterFacts): readonly string[] {
  if (facts.serviceCidrs.length > 0) return facts.serviceCidrs;
  return objects.serviceCidrs.flatMap(({ spec }) => spec?.cidrs ?? []);
}

export function podAddresses({ status }: Pod): readonly string[] {
  const all = (status?.podIPs ?? []).flatMap(({ ip }) => ip ?? []);
  return all.length > 0 ? all : status?.podIP ? [status.podIP] : [];
}

/** A node's own addresses: those that NodePorts answer on. */
export function nodeAddresses({ status }: Node): readonly string[] {
  return (status?.addresses ?? [])
    .filter(({ type }) => type === "InternalIP" || type === "ExternalIP")
    .map(({ address }) => address);
}

/** A pod that has ended has no address any more, whatever its status still says. */
export function isOver({ status }: Pod): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}

/** The family that a cluster's Services have unless they say otherwise: that of the Service `kubernetes`, else of a node's first address. */
export function primaryFamily({ services, nodes }: Pick<ClusterObjects, "services" | "nodes">): Family {
  const own = services.find(({ metadata }) => metadata.namespace === "default" && metadata.name === "kubernetes");
  const [address] = nodes.flatMap(nodeAddresses);
  return familyOf(own?.spec.clusterIP ?? address ?? "") ?? "IPv4";
}
