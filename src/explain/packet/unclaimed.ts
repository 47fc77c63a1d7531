import { keyOf, type Pod, type Service } from "../../kube/index.ts";
import { addressSet, type Protocol, type Route } from "../../services/index.ts";
import { type Cluster, serviceCidrsOf } from "../cluster.ts";
import { whyNotReady } from "../pods.ts";
import type { PacketClient } from "./client.ts";
import type { Hop, HopOwner, PacketVerdict } from "./packet-trace.ts";

/** What becomes of a packet for which the proxy has no frontend, and the nearest thing to one. */
export interface Unclaimed {
  readonly verdict: PacketVerdict;
  readonly reason: string;
  readonly hops: readonly Hop[];
  readonly notes: readonly string[];
}

interface Address {
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** `route` is what the model of `node` says: nothing, or that it refuses. */
export function unclaimed(cluster: Cluster, node: string, to: Address, route: Route, client: PacketClient): Unclaimed {
  const refused = route.decision?.verdict === "reject" || route.decision?.verdict === "drop";
  const verdict: PacketVerdict = refused ? (route.decision?.verdict ?? "reject") : "elsewhere";
  const owner = ownerOf(cluster, to.address);
  if (owner) return atService(cluster, node, to, owner, verdict);

  const pod = cluster.podAt(to.address);
  if (pod) return toPod(cluster, to, pod, client);

  const at = cluster.nodeAt(to.address);
  if (at) {
    const name = at.metadata.name;
    const inRange = to.port >= 30_000 && to.port <= 32_767;
    const other = to.protocol === "UDP" ? "TCP" : "UDP";
    const twin = cluster.objects.services.find(({ spec }) =>
      spec.ports?.some((one) => one.nodePort === to.port && (one.protocol ?? "TCP") === other),
    );
    return {
      verdict: "direct",
      reason: inRange
        ? `no Service has NodePort ${to.port}/${to.protocol}; only a process of ${name} itself could answer`
        : `it goes to ${name} itself: whatever process listens on port ${to.port} there answers`,
      hops: [hop("no frontend is there", { object: `Node ${name}`, field: "status.addresses" })],
      notes: twin ? [`Service ${keyOf(twin)} has that NodePort for ${other}`] : [],
    };
  }
  if (addressSet(serviceCidrsOf(cluster.objects, cluster.facts)).has(to.address)) {
    return {
      verdict,
      reason: `no Service has the address ${to.address}, which is in the Services' range`,
      hops: [hop("an address that no Service has", { object: "ServiceCIDR", field: "spec.cidrs" })],
      notes: [],
    };
  }
  const { podCidrs } = cluster.modelOf(node).context;
  return {
    verdict: "elsewhere",
    reason: addressSet(podCidrs).has(to.address)
      ? `no pod has the address ${to.address}, which is in the pods' range`
      : "it is nothing of this cluster: the packet goes its usual way",
    hops: [],
    notes: [],
  };
}

interface Owner {
  readonly service: Service;
  readonly field: string;
  /** The real load balancer takes it, nodes do not. */
  readonly proxied: boolean;
}

/** The Service that has an address, whichever port it has there. */
function ownerOf(cluster: Cluster, address: string): Owner | undefined {
  for (const service of cluster.objects.services) {
    const { spec, status } = service;
    const ips = spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : []);
    const i = ips.indexOf(address);
    if (i >= 0) return { service, field: `spec.clusterIPs[${i}]`, proxied: false };
    const e = (spec.externalIPs ?? []).indexOf(address);
    if (e >= 0) return { service, field: `spec.externalIPs[${e}]`, proxied: false };
    const given = status?.loadBalancer?.ingress ?? [];
    const l = given.findIndex(({ ip }) => ip === address);
    if (l >= 0 && spec.type === "LoadBalancer")
      return { service, field: `status.loadBalancer.ingress[${l}]`, proxied: given[l]?.ipMode === "Proxy" };
  }
  return undefined;
}

function atService(
  cluster: Cluster,
  node: string,
  to: Address,
  { service, field, proxied }: Owner,
  verdict: PacketVerdict,
): Unclaimed {
  const key = keyOf(service);
  const object = `Service ${key}`;
  const plan = cluster.modelOf(node).plan(key);
  const found = hop(`the address of ${object}`, { object, field });
  if (plan?.ignored)
    return {
      verdict: "elsewhere",
      reason: `this proxy leaves ${object} alone: ${plan.ignored.reason}`,
      hops: [found, hop(plan.ignored.reason, { object, field: plan.ignored.field })],
      notes: [],
    };
  if (proxied)
    return {
      verdict: "elsewhere",
      reason: "with ipMode Proxy the load balancer itself takes it; nodes let it pass",
      hops: [found, hop("ipMode Proxy", { object, field: `${field}.ipMode` })],
      notes: [],
    };
  const conflict = plan?.conflicts.find(
    ({ frontend }) => frontend.address === to.address && frontend.port === to.port && frontend.protocol === to.protocol,
  );
  const ports = (service.spec.ports ?? []).map(({ name, port, protocol = "TCP" }) =>
    name ? `${name} (${port}/${protocol})` : `${port}/${protocol}`,
  );
  const why = conflict
    ? `Service ${conflict.winner} is older and has that address and port`
    : `${object} has no port ${to.port}/${to.protocol}, only ${ports.join(", ") || "none"}`;
  return {
    verdict,
    reason: why,
    hops: [found, hop(why, { object, field: "spec.ports" })],
    notes: targetPortNote(service, to),
  };
}

/** Who asks for the pods' port at the Service's address. */
function targetPortNote(service: Service, { port }: Address): string[] {
  const meant = (service.spec.ports ?? []).find(({ targetPort }) => targetPort === port);
  return meant ? [`${port} is the targetPort: clients ask for port ${meant.port}`] : [];
}

function toPod(cluster: Cluster, to: Address, pod: Pod, client: PacketClient): Unclaimed {
  const key = keyOf(pod);
  const declared = pod.spec.containers.flatMap(({ ports }) => ports ?? []);
  const known = declared.some(
    ({ containerPort, protocol }) => containerPort === to.port && (protocol ?? "TCP") === to.protocol,
  );
  const why = whyNotReady(pod, cluster.objects.events);
  const notes = [
    ...(known || declared.length === 0
      ? []
      : [
          `no container of it declares port ${to.port}/${to.protocol}, only ${declared.map((one) => one.containerPort).join(", ")}`,
        ]),
    ...(why ? [`pod ${key} ${why}`] : []),
  ];
  return {
    verdict: "direct",
    reason: `it goes to pod ${key} on ${pod.spec.nodeName ?? "no node"}; no Service takes part`,
    hops: [
      hop(`the address of pod ${key}`, { object: `Pod ${key}`, field: "status.podIP" }),
      { step: "source", text: `kept: the pod sees ${client.address}` },
    ],
    notes,
  };
}

function hop(text: string, owner: HopOwner): Hop {
  return { step: "route", text, owner };
}
