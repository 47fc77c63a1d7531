import { keyOf } from "../../kube/index.ts";
import {
  type ClientClass,
  type Decision,
  endpointsOfPort,
  familyOf,
  type PortPlan,
  type Protocol,
  type Route,
  type ServiceEndpoint,
  overrideAnnotation,
  balanceAnnotation,
  weightsAnnotation,
} from "../../services/index.ts";
import type { Cluster } from "../cluster.ts";
import { ExplainError } from "../error.ts";
import { whyNotReady } from "../pods.ts";
import { at, clientOf, findNode, type PacketClient } from "./client.ts";
import { type Destination, destinationOf, familyOfTarget, textOfReference } from "./destination.ts";
import type { Hop, PacketTrace, PacketVerdict, TracedEndpoint } from "./packet-trace.ts";
import type { Reference, Target } from "./reference.ts";
import { unclaimed } from "./unclaimed.ts";

export interface PacketQuestion {
  readonly from: Reference;
  readonly to: Target;
  /** The node whose proxy is asked. Default: the client's, else the one that has the address, else the first. */
  readonly node?: string;
}

/**
 * What happens to the first packet of a connection: every step with the object and field behind it. Pure: it asks the decision model
 * that the proxies make true. Throws ExplainError for what is not there or not clear.
 */
export function tracePacket(cluster: Cluster, question: PacketQuestion): PacketTrace {
  const client = clientOf(cluster, question.from, familyOfTarget(cluster, question.to));
  const destination = destinationOf(cluster, question.to, client);
  const node = nodeFor(cluster, question, client, destination);
  const family = familyOf(client.address) ?? "IPv4";
  const base = {
    from: { text: client.text, address: client.address, ...(client.node ? { node: client.node } : {}) },
    node,
    notes: destination.notes,
  };
  const text = textOfReference(question.to.reference);
  const { port, protocol } = destination;
  const classOf = (name: string): ClientClass =>
    cluster.modelOf(name).route({ source: client.address, destination: client.address, protocol, port }).client;

  if (destination.outcome === "alias") {
    return {
      ...base,
      from: { ...base.from, class: classOf(node) },
      to: { text, address: destination.name, port, protocol },
      hops: destination.hops,
      endpoints: [],
      verdict: "alias",
      reason: destination.reason,
      otherNodes: [],
    };
  }
  if (destination.outcome === "endpoints") {
    return {
      ...headless(cluster, client, destination),
      ...base,
      from: { ...base.from, class: classOf(node) },
      to: { text, address: "", port, protocol },
    };
  }
  const to = { text, address: destination.address, port, protocol };
  if (familyOf(destination.address) !== family)
    throw new ExplainError(
      "NOT_POSSIBLE",
      `${client.address} cannot reach ${destination.address}: they are of different families`,
      "give both in one family",
    );
  const own = fate(cluster, client, to, node);
  const elsewhere = cluster.objects.nodes
    .map(({ metadata }) => metadata.name)
    .filter((name) => name !== node && client.node === undefined)
    .map((name) => ({ node: name, ...fate(cluster, client, to, name) }))
    .filter(({ verdict }) => verdict !== own.verdict);
  return {
    ...base,
    from: { ...base.from, class: own.class },
    to,
    hops: [...destination.hops, ...own.hops],
    endpoints: own.endpoints,
    ...(own.masquerade === undefined ? {} : { masquerade: own.masquerade }),
    verdict: own.verdict,
    reason: own.reason,
    otherNodes: elsewhere.map(({ node: name, verdict, reason }) => ({ node: name, verdict, reason })),
    notes: [...destination.notes, ...own.notes],
  };
}

interface Fate {
  readonly class: ClientClass;
  readonly hops: readonly Hop[];
  readonly endpoints: readonly TracedEndpoint[];
  readonly masquerade?: boolean;
  readonly verdict: PacketVerdict;
  readonly reason: string;
  readonly notes: readonly string[];
}

interface Address {
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** What the proxy of one node does with the packet. */
function fate(cluster: Cluster, client: PacketClient, to: Address, node: string): Fate {
  const model = cluster.modelOf(node);
  const packet = { source: client.address, protocol: to.protocol, port: to.port };
  const asked = model.route({ ...packet, destination: to.address });
  // User space serves NodePorts on loopback, by the same plan as on the node's own address.
  const nodeAddress = model.context.node.addresses[0];
  const loopback = !asked.hit && isLoopback(to.address) && nodeAddress !== undefined;
  const route = loopback ? model.route({ ...packet, destination: nodeAddress }) : asked;
  const hops: Hop[] = [clientHop(client, route.client, node)];
  const { hit, decision } = route;
  if (!hit || !decision || decision.verdict === "reject" || decision.verdict === "drop") {
    const stops = hit && decision ? verdictOf(hit, decision) : unclaimed(cluster, node, to, route, client);
    if (hit) hops.push(frontendHop(hit));
    return {
      class: route.client,
      hops: [...hops, ...stops.hops],
      endpoints: hit ? endpointsOf(cluster, client, hit, decision, node) : [],
      verdict: stops.verdict,
      reason: stops.reason,
      notes: stops.notes,
    };
  }
  const object = `Service ${hit.service}`;
  const [policy] = decision.because;
  hops.push(frontendHop(hit));
  if (policy) hops.push({ step: "policy", text: policy.reason, owner: { object, field: policy.field } });
  if (decision.affinitySeconds !== undefined)
    hops.push({
      step: "affinity",
      text: `a client address stays with its endpoint for ${decision.affinitySeconds} s after its last connection`,
      owner: { object, field: "spec.sessionAffinity" },
    });
  if (decision.picked)
    hops.push({
      step: "affinity",
      text: `the client's address leads to ${at(decision.picked.address, decision.picked.port)}, on every node; drawn at random in iptables mode`,
      owner: { object, field: `metadata.annotations[${balanceAnnotation}]` },
    });
  const endpoints = endpointsOf(cluster, client, hit, decision, node);
  hops.push(sourceHop(client, route, decision, endpoints, node));
  const chosen = endpoints.filter(({ odds }) => odds > 0);
  return {
    class: route.client,
    hops,
    endpoints,
    masquerade: decision.masquerade,
    verdict: "forward",
    reason: chosen.length === 1 ? "there is one endpoint to go to" : `one of ${chosen.length} endpoints`,
    notes: notesOf(chosen, loopback),
  };
}

function clientHop(client: PacketClient, kind: ClientClass, node: string): Hop {
  const words: Record<ClientClass, string> = {
    pod: "a pod of this cluster",
    node: `a process of ${node} itself`,
    outside: "outside of this cluster",
  };
  return {
    step: "client",
    text: `${client.address} is ${words[kind]}`,
    ...(client.object ? { owner: { object: client.object, field: client.field ?? "" } } : {}),
  };
}

function frontendHop({ service, frontend }: NonNullable<Route["hit"]>): Hop {
  const where = frontend.address === undefined ? `port ${frontend.port}` : at(frontend.address, frontend.port);
  return {
    step: "frontend",
    text: `${frontend.kind} ${where}/${frontend.protocol}`,
    owner: { object: `Service ${service}`, field: frontend.field },
  };
}

function verdictOf(hit: NonNullable<Route["hit"]>, decision: Decision) {
  const object = `Service ${hit.service}`;
  const [first] = decision.because;
  const reason = first?.reason ?? "the proxy refuses it";
  const inSlices = first?.field === "endpoints";
  const hop: Hop = {
    step: "policy",
    text: reason,
    owner: inSlices
      ? { object: `EndpointSlices of ${object}`, field: "endpoints" }
      : { object, field: first?.field ?? "" },
  };
  return { verdict: decision.verdict as PacketVerdict, reason, hops: [hop], notes: [] };
}

function sourceHop(
  client: PacketClient,
  { hit }: Route,
  decision: Extract<Decision, { verdict: "forward" }>,
  endpoints: readonly TracedEndpoint[],
  node: string,
): Hop {
  const object = `Service ${hit?.service ?? ""}`;
  if (decision.masquerade) {
    const inside = hit?.frontend.kind === "ClusterIP";
    const field = inside ? (hit?.frontend.field ?? "") : "spec.externalTrafficPolicy";
    const why = inside ? "the client is no pod" : "policy Cluster, or the node itself";
    return {
      step: "source",
      text: `masked: the endpoint sees ${node}, not ${client.address} (${why})`,
      owner: { object, field },
    };
  }
  const self = endpoints.some(({ address, odds }) => odds > 0 && address === client.address);
  return {
    step: "source",
    text: self
      ? `kept: the endpoint sees ${client.address}; where the client is drawn itself, ${node}`
      : `kept: the endpoint sees ${client.address}`,
  };
}

/** The endpoints of the Service port: those it may go to with their odds, then the others with the reason. */
function endpointsOf(
  cluster: Cluster,
  client: PacketClient,
  { port, service, frontend }: NonNullable<Route["hit"]>,
  decision: Decision | undefined,
  node: string,
): TracedEndpoint[] {
  const chosen = decision?.verdict === "forward" ? decision.endpoints : [];
  const ids = new Set(chosen.map(idOf));
  // `PortPlan` has only those that may answer.
  const { name, protocol } = port;
  const family = familyOf(client.address) ?? "IPv4";
  const known = endpointsOfPort(cluster.slices(service), { family, name, protocol });
  const all = new Map(known.map((one) => [idOf(one), one]));
  for (const one of chosen) all.set(idOf(one), one);
  const shares = chosen.reduce((sum, { weight = 1 }) => sum + weight, 0);
  const picked = decision?.verdict === "forward" && decision.picked ? idOf(decision.picked) : undefined;
  return [...all.values()]
    .map((endpoint): TracedEndpoint => {
      const takes = ids.has(idOf(endpoint));
      if (takes && picked !== undefined) {
        const is = idOf(endpoint) === picked;
        return { ...viewOf(cluster, endpoint), odds: is ? 1 : 0, ...(is ? {} : { why: otherClients }) };
      }
      const why = takes ? undefined : whyPassed(endpoint, port, frontend.policy === "Local", node);
      const odds = takes ? (endpoint.weight ?? 1) / shares : 0;
      return { ...viewOf(cluster, endpoint), odds, ...(why ? { why } : {}) };
    })
    .sort((a, b) => b.odds - a.odds);
}

const otherClients = `${balanceAnnotation} is source-hash: other clients' addresses lead there`;

function whyPassed(endpoint: ServiceEndpoint, port: PortPlan, local: boolean, node: string): string {
  if (!endpoint.ready)
    return endpoint.terminating
      ? endpoint.serving
        ? "terminating, and others are ready"
        : "terminating"
      : "not ready";
  if (local && endpoint.nodeName !== node) return `policy Local: it is on ${endpoint.nodeName ?? "no node"}`;
  if (port.ordered === "drop") return `${overrideAnnotation} is drop`;
  if (port.cluster.choice === "same node" || port.cluster.choice === "same zone")
    return `hints keep this node's clients on the ${port.cluster.choice}`;
  return `${weightsAnnotation} gives it no share`;
}

function viewOf(cluster: Cluster, endpoint: ServiceEndpoint) {
  const pod = endpoint.pod === undefined ? undefined : cluster.pod(endpoint.pod);
  const why = pod && whyNotReady(pod, cluster.objects.events);
  const bySlice = endpoint.ready ? "ready" : "not ready";
  return {
    address: endpoint.address,
    port: endpoint.port,
    ...(endpoint.nodeName ? { node: endpoint.nodeName } : {}),
    ...(endpoint.pod ? { pod: endpoint.pod } : {}),
    state: why ?? (endpoint.pod && !pod ? "its pod does not exist" : bySlice),
    owner: { object: `EndpointSlice ${endpoint.slice}`, field: "endpoints" },
  };
}

function headless(
  cluster: Cluster,
  client: PacketClient,
  destination: Extract<Destination, { outcome: "endpoints" }>,
): Pick<PacketTrace, "hops" | "endpoints" | "verdict" | "reason" | "otherNodes"> {
  const publishes = destination.service.spec.publishNotReadyAddresses === true;
  const given = destination.endpoints.filter(({ ready }) => ready || publishes);
  const odds = 1 / Math.max(1, given.length);
  const endpoints = destination.endpoints.map((endpoint): TracedEndpoint => {
    const takes = given.includes(endpoint);
    return {
      ...viewOf(cluster, endpoint),
      port: destination.port,
      odds: takes ? odds : 0,
      ...(takes ? {} : { why: "not ready: DNS leaves it out" }),
    };
  });
  const listens = destination.endpoints.some(({ port }) => port === destination.port);
  const key = keyOf(destination.service);
  const kept: Hop = { step: "source", text: `kept: the endpoint sees ${client.address}` };
  if (given.length === 0)
    return {
      hops: destination.hops,
      endpoints,
      verdict: "reject",
      reason: `no endpoint of ${key} is ready, so DNS knows no such name`,
      otherNodes: [],
    };
  return {
    hops: [...destination.hops, kept],
    endpoints: endpoints.sort((a, b) => b.odds - a.odds),
    verdict: "direct",
    reason: listens
      ? `straight to one of ${given.length} pods`
      : `straight to one of ${given.length} pods, which do not listen on port ${destination.port}`,
    otherNodes: [],
  };
}

function notesOf(chosen: readonly TracedEndpoint[], loopback: boolean): string[] {
  const notes: string[] = [];
  const gone = chosen.filter(({ state }) => state !== "ready");
  for (const { pod, address, state } of gone.slice(0, 3))
    notes.push(`${pod ? `pod ${pod}` : address} is in the EndpointSlice, but ${state}`);
  if (loopback) notes.push("NodePorts on loopback are served by the proxy in user space: the endpoint sees the node");
  return notes;
}

function nodeFor(cluster: Cluster, question: PacketQuestion, client: PacketClient, destination: Destination): string {
  if (question.node !== undefined) return findNode(cluster, question.node).metadata.name;
  const to = destination.outcome === "address" ? cluster.nodeAt(destination.address)?.metadata.name : undefined;
  return client.node ?? to ?? cluster.objects.nodes[0]?.metadata.name ?? "node-1";
}

const idOf = ({ address, port }: ServiceEndpoint): string => `${address} ${port}`;

const isLoopback = (address: string): boolean => address === "::1" || address.startsWith("127.");
