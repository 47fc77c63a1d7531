import { addressTypesOf, endpointOf, groupByPorts, hasSelector } from "../controllers/index.ts";
import {
  includesLabels,
  isHeadless,
  keyOf,
  type EndpointSlice,
  type Ingress,
  type IngressClass,
  type KubeObject,
  needsClusterIp,
  needsNodePort,
  type Node,
  type Pod,
  type PodTemplateSpec,
  type Service,
} from "../kube/index.ts";
import { type Family, familyOf, serviceNameLabel, serviceOfSlice } from "../services/index.ts";
import { primaryFamily } from "./cluster.ts";
import { type ClusterObjects, noObjects } from "./exposure.ts";
import { overlay } from "./overlay.ts";

/** Something that a cluster would have added. */
export interface Assumption {
  readonly text: string;
  /** The objects it is about: `Service shop/web`, `Pod shop/web-0`. */
  readonly objects: readonly string[];
}

/** Objects with what a cluster would add to them, and in words what was added. */
export interface Assumed {
  readonly objects: ClusterObjects;
  readonly assumptions: readonly Assumption[];
}

const listOf = {
  Service: "services",
  EndpointSlice: "slices",
  Pod: "pods",
  Node: "nodes",
  Ingress: "ingresses",
  IngressClass: "classes",
  Secret: "secrets",
  Event: "events",
  ServiceCIDR: "serviceCidrs",
} as const satisfies Record<string, keyof ClusterObjects>;

export interface AssumeOptions {
  /** What there is already. Default: nothing. */
  readonly base?: ClusterObjects;
  /** `spec.controller` of the IngressClasses that are assumed where there is none. */
  readonly controllerName: string;
}

/** Pods that are imagined for one workload at most. */
const mostPods = 100;

/**
 * A cluster as it would be if `manifests` were applied to `base`: what controllers and allocators would add is assumed, each
 * assumption in words. Workloads get pods that are ready, Services addresses and endpoints. Manifests have their defaults already.
 */
export function assumeObjects(
  manifests: readonly KubeObject[],
  { base = noObjects, controllerName }: AssumeOptions,
): Assumed {
  const assumptions: Assumption[] = [];
  const objects = overlayAll(base, manifests);
  const services = [...objects.services];
  const nodes = [...objects.nodes];
  if (nodes.length === 0) {
    nodes.push(imaginedNode);
    assumptions.push({ text: "one node, node-1 at 192.0.2.10: the manifests have none", objects: ["Node node-1"] });
  }
  const pods = [...objects.pods];
  const family = primaryFamily(objects);
  const addresses = createAddresses(pods, family);
  pods.push(...imaginedPods(manifests, pods, nodes, addresses, assumptions));
  for (const [i, pod] of pods.entries()) pods[i] = running(pod, nodes, addresses, assumptions, base);

  allocate(services, assumptions);
  // Where a Service selects otherwise than before, its endpoints are drawn anew.
  const moved = movedServices(manifests, base);
  const kept = objects.slices.filter((slice) => !moved.has(serviceOfSlice(slice) ?? ""));
  const slices = [...kept, ...imaginedSlices(services, pods, nodes, kept, base, assumptions)];
  const isWhole = base.services.length > 0 || base.nodes.length > 0;
  const classes = isWhole
    ? objects.classes
    : [...objects.classes, ...imaginedClasses(objects, controllerName, assumptions)];
  const ingresses = isWhole ? objects.ingresses : objects.ingresses.map((ingress) => confirmed(ingress, nodes));
  return { objects: { ...objects, services, nodes, pods, slices, classes, ingresses }, assumptions };
}

/** `base` with the objects of the manifests in place of those of the same name. */
function overlayAll(base: ClusterObjects, manifests: readonly KubeObject[]): ClusterObjects {
  const { announcing, ...lists } = base;
  const result: Record<string, readonly KubeObject[]> = { ...lists };
  for (const [kind, list] of Object.entries(listOf))
    result[list] = overlay<KubeObject>(
      base[list],
      manifests.filter((object) => object.kind === kind),
    );
  return { ...result, ...(announcing ? { announcing } : {}) } as unknown as ClusterObjects;
}

const imaginedNode = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "node-1" },
  spec: { podCIDR: "10.42.0.0/16", podCIDRs: ["10.42.0.0/16"] },
  status: { addresses: [{ type: "InternalIP", address: "192.0.2.10" }] },
} as Node;

interface Addresses {
  next(): string;
}

/** Pod addresses that nobody has: 10.42.200.1 and up, or fd00:10:42:ffff::1. */
function createAddresses(pods: readonly Pod[], family: Family): Addresses {
  const taken = new Set(pods.flatMap(({ status }) => status?.podIP ?? []));
  let last = 0;
  const next = (): string => {
    last += 1;
    const address =
      family === "IPv6"
        ? `fd00:10:42:ffff::${last.toString(16)}`
        : `10.42.${200 + (Math.floor(last / 254) % 55)}.${(last % 254) + 1}`;
    return taken.has(address) ? next() : address;
  };
  return { next };
}

interface Workload extends KubeObject {
  readonly spec?: { readonly replicas?: number; readonly template?: PodTemplateSpec };
}

function imaginedPods(
  manifests: readonly KubeObject[],
  known: readonly Pod[],
  nodes: readonly Node[],
  addresses: Addresses,
  assumptions: Assumption[],
): Pod[] {
  const pods: Pod[] = [];
  for (const workload of manifests as readonly Workload[]) {
    if (!["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController", "DaemonSet"].includes(workload.kind))
      continue;
    const { template, replicas = 1 } = workload.spec ?? {};
    const { namespace = "default", name } = workload.metadata;
    const labels = template?.metadata?.labels ?? {};
    if (!template?.spec) continue;
    // Pods of it that are there are the truth.
    if (known.some((pod) => pod.metadata.namespace === namespace && includesLabels(labels, pod.metadata.labels)))
      continue;
    const count = Math.min(mostPods, workload.kind === "DaemonSet" ? nodes.length : replicas);
    const names: string[] = [];
    for (let i = 0; i < count; i++) {
      const node = nodes[i % nodes.length]?.metadata.name ?? "";
      pods.push({
        apiVersion: "v1",
        kind: "Pod",
        metadata: { namespace, name: `${name}-${i}`, labels },
        spec: { ...template.spec, nodeName: template.spec.nodeName ?? node },
        status: readyAt(addresses.next()),
      });
      names.push(`Pod ${namespace}/${name}-${i}`);
    }
    const text = `${count} ready ${count === 1 ? "pod" : "pods"} of ${workload.kind} ${namespace}/${name}`;
    assumptions.push({ text, objects: names });
  }
  return pods;
}

/** A pod of a manifest, as if it ran; one that has a status is left as it is. */
function running(
  pod: Pod,
  nodes: readonly Node[],
  addresses: Addresses,
  assumptions: Assumption[],
  base: ClusterObjects,
): Pod {
  if (pod.status?.phase !== undefined || base.pods.includes(pod)) return pod;
  const { status, spec } = pod;
  if (status?.podIP && status.conditions) return pod;
  assumptions.push({ text: `pod ${keyOf(pod)} runs and is ready`, objects: [`Pod ${keyOf(pod)}`] });
  const nodeName = spec.nodeName ?? nodes[0]?.metadata.name ?? "";
  return { ...pod, spec: { ...spec, nodeName }, status: { ...readyAt(status?.podIP ?? addresses.next()), ...status } };
}

function readyAt(ip: string): NonNullable<Pod["status"]> {
  return {
    phase: "Running",
    podIP: ip,
    podIPs: [{ ip }],
    conditions: [{ type: "Ready", status: "True" }],
  };
}

/** Gives Services in place the addresses and ports that the API server would. */
function allocate(services: Service[], assumptions: Assumption[]): void {
  const taken = new Set(services.flatMap(({ spec }) => [spec.clusterIP ?? "", ...(spec.clusterIPs ?? [])]));
  const takenPorts = new Set(services.flatMap(({ spec }) => (spec.ports ?? []).map(({ nodePort }) => nodePort)));
  const likes = services.map(({ spec }) => spec.clusterIP ?? "").find((ip) => familyOf(ip) === "IPv4");
  const prefix = likes?.split(".").slice(0, 2).join(".") ?? "10.96";
  let host = 0;
  let balanced = 0;
  let nodePort = 30_000;
  for (const [i, service] of services.entries()) {
    const { spec } = service;
    const given: string[] = [];
    const ports = (spec.ports ?? []).map((port) => {
      if (!needsNodePort(spec) || port.nodePort) return port;
      do nodePort += 1;
      while (takenPorts.has(nodePort));
      given.push(`NodePort ${nodePort} for port ${port.port}`);
      return { ...port, nodePort };
    });
    let { clusterIP, clusterIPs } = spec;
    if (needsClusterIp(spec) && !isHeadless(spec) && !clusterIP) {
      do {
        host += 1;
        clusterIP = `${prefix}.${250 + Math.floor(host / 250)}.${(host % 250) + 1}`;
      } while (taken.has(clusterIP));
      clusterIPs = [clusterIP];
      given.unshift(`cluster IP ${clusterIP}`);
    }
    let { status } = service;
    if (spec.type === "LoadBalancer" && !spec.loadBalancerClass && (status?.loadBalancer?.ingress ?? []).length === 0) {
      balanced += 1;
      const [first] = spec.ipFamilies ?? [];
      const ip = first === "IPv6" ? `fd00:10:97::fa:${balanced.toString(16)}` : `10.97.250.${balanced % 250}`;
      given.push(`load-balancer address ${ip}`);
      status = { ...status, loadBalancer: { ingress: [{ ip }] } };
    }
    if (given.length === 0) continue;
    const next = { ...spec, ports, ...(clusterIP ? { clusterIP } : {}), ...(clusterIPs ? { clusterIPs } : {}) };
    services[i] = { ...service, spec: next, ...(status ? { status } : {}) };
    const object = `Service ${keyOf(service)}`;
    assumptions.push({ text: `${object} gets ${given.join(", ")}`, objects: [object] });
  }
}

/** Services whose endpoints follow from other fields than before. */
function movedServices(manifests: readonly KubeObject[], base: ClusterObjects): ReadonlySet<string> {
  const before = new Map(base.services.map((service) => [keyOf(service), service]));
  const moved = new Set<string>();
  for (const object of manifests) {
    const old = object.kind === "Service" ? before.get(keyOf(object)) : undefined;
    const { spec } = object as Service;
    const asks = ({ selector, ports, publishNotReadyAddresses, trafficDistribution }: Service["spec"]) =>
      JSON.stringify([
        Object.entries(selector ?? {}).sort(),
        (ports ?? []).map(({ name, protocol, targetPort, port }) => [name, protocol, targetPort ?? port]),
        publishNotReadyAddresses ?? false,
        trafficDistribution,
      ]);
    if (old && asks(old.spec) !== asks(spec)) moved.add(keyOf(object));
  }
  return moved;
}

/** Classes that Ingresses name, where no class is there at all: else a name may just be wrong. */
function imaginedClasses(
  { ingresses, classes }: ClusterObjects,
  controller: string,
  assumptions: Assumption[],
): IngressClass[] {
  if (classes.length > 0) return [];
  const names = new Set(ingresses.flatMap(({ spec }) => spec.ingressClassName ?? []));
  return [...names].map((name) => {
    assumptions.push({ text: `IngressClass ${name} is served`, objects: [`IngressClass ${name}`] });
    return { apiVersion: "networking.k8s.io/v1", kind: "IngressClass", metadata: { name }, spec: { controller } };
  });
}

/** An Ingress as if a data plane had confirmed it on the first node. */
function confirmed(ingress: Ingress, nodes: readonly Node[]): Ingress {
  const ip = nodes[0]?.status?.addresses?.[0]?.address;
  return (ingress.status?.loadBalancer?.ingress ?? []).length > 0 || ip === undefined
    ? ingress
    : { ...ingress, status: { loadBalancer: { ingress: [{ ip }] } } };
}

/** The EndpointSlices that the controller would write, for Services with a selector of which none are there. */
function imaginedSlices(
  services: readonly Service[],
  pods: readonly Pod[],
  nodes: readonly Node[],
  known: readonly EndpointSlice[],
  base: ClusterObjects,
  assumptions: Assumption[],
): EndpointSlice[] {
  const has = new Set(known.map(serviceOfSlice));
  const byName = new Map(nodes.map((node) => [node.metadata.name, node]));
  const slices: EndpointSlice[] = [];
  for (const service of services) {
    const key = keyOf(service);
    if (!hasSelector(service) || has.has(key) || base.services.includes(service)) continue;
    const { namespace = "", name } = service.metadata;
    const selected = pods.filter(
      (pod) => pod.metadata.namespace === namespace && includesLabels(service.spec.selector, pod.metadata.labels),
    );
    let count = 0;
    for (const type of addressTypesOf(service)) {
      const endpoints = selected.flatMap(
        (pod) => endpointOf(service, pod, byName.get(pod.spec.nodeName ?? ""), type) ?? [],
      );
      for (const [i, group] of groupByPorts(endpoints).entries()) {
        count += group.endpoints.length;
        slices.push({
          apiVersion: "discovery.k8s.io/v1",
          kind: "EndpointSlice",
          metadata: {
            namespace,
            name: `${name}-assumed-${type.toLowerCase()}-${i}`,
            labels: { [serviceNameLabel]: name },
          },
          addressType: type,
          ports: [...group.ports],
          endpoints: [...group.endpoints],
        });
      }
    }
    const text = `Service ${key} has ${count} ${count === 1 ? "endpoint" : "endpoints"} by its selector`;
    if (count > 0) assumptions.push({ text, objects: [`Service ${key}`] });
  }
  return slices;
}
