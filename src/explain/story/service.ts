import { answer } from "../../dns/index.ts";
import { isHeadless, type Service } from "../../kube/index.ts";
import type { Announcement } from "../../loadbalancer/index.ts";
import { some, type ServiceView } from "../doctor/check.ts";
import { announcementsOf } from "../doctor/checks/address-not-announced.ts";
import { holdingsOf } from "../held.ts";
import { at } from "../packet/client.ts";
import { tracePacket } from "../packet/trace.ts";
import type { PacketTrace } from "../packet/packet-trace.ts";
import { newest, whyNotReady } from "../pods.ts";
import type { Chapter, StoryContext } from "./story.ts";

/** Endpoints that are shown at most. */
const most = 20;

/** name, addresses, who gave them, data path on each node, endpoints, last change. */
export function serviceChapters(view: ServiceView, context: StoryContext): Chapter[] {
  return [
    { title: "name", lines: nameLines(view.service, context) },
    { title: "addresses", lines: addressLines(context) },
    { title: "given by", lines: givenBy(view.service) },
    { title: "announced", lines: announcedLines(view.service, context) },
    { title: "data path", lines: pathLines(view, context) },
    { title: "endpoints", lines: endpointLines(view, context) },
    { title: "draining", lines: drainingLines(view, context) },
    { title: "last change", lines: changeLines(view, context) },
  ].filter(({ lines }) => lines.length > 0);
}

function nameLines({ metadata, spec }: Service, { facts }: StoryContext): string[] {
  const { clusterDomain } = facts.cluster.facts;
  const name = `${metadata.name}.${metadata.namespace ?? ""}.svc.${clusterDomain}`;
  const zone = { domain: clusterDomain, serial: 0 };
  if (spec.type === "ExternalName") return [`${name} is another name for ${spec.externalName ?? ""}`];
  const answers = ["A", "AAAA"].flatMap((type) => answer({ name, type }, facts.cluster.dns, zone)?.answers ?? []);
  const addresses = answers.flatMap(({ type, data }) => (type === "A" || type === "AAAA" ? [data] : []));
  if (addresses.length === 0)
    return [`${name}: DNS knows no such name${isHeadless(spec) ? ", as no pod is ready" : ""}`];
  return [`${name} is ${addresses.slice(0, 4).join(", ")}${addresses.length > 4 ? " ..." : ""}`];
}

function addressLines({ exposures }: StoryContext): string[] {
  return exposures.flatMap(({ way, addresses }) =>
    addresses.length === 0 ? [`${way}: none`] : addresses.slice(0, 8).map((address) => `${way} ${address}`),
  );
}

/** Who gives the load balancer its address, in the words of its condition. */
function givenBy({ spec, status }: Service): string[] {
  if (spec.type !== "LoadBalancer") return [];
  const conditions = (status?.conditions ?? []).map(
    ({ type, status: is, message }) => `${type} is ${is}${message ? `: ${message}` : ""}`,
  );
  const by = spec.loadBalancerClass ? [`class ${spec.loadBalancerClass}`] : [];
  return [...by, ...conditions];
}

/** Who holds each address now, or which routers are told of it; of a provider's, its name. */
function announcedLines(service: Service, { facts }: StoryContext): string[] {
  const made = holdingsOf(service, () => undefined).map(
    ({ address, holders, since }) =>
      `${address} by provider ${holders.join(", ")}: ${since ? `ready since ${since}` : "not ready"}`,
  );
  return [...made, ...announcementsOf(facts, service).flatMap(howAnnounced)];
}

function howAnnounced({ address, pool, protocol, holders, transitions, down }: Announcement): string[] {
  const from = `${address} of pool ${pool} by ${protocol}`;
  if (protocol === "VRRP") {
    const [holder] = holders;
    if (holder === undefined) return [`${from}: no node holds it`];
    const { node, since } = holder;
    const times =
      transitions === undefined ? "" : `, ${transitions} ${transitions === 1 ? "holder" : "holders"} so far`;
    return [`${from}: node ${node} holds it${since ? ` since ${since}` : ""}${times}`];
  }
  const names = holders.map(({ node, peer, since, isFallback }) => {
    const when = since ? ` since ${since}` : "";
    return `${node} to ${peer ?? ""}${when}${isFallback ? " (fallback)" : ""}`;
  });
  const up = names.length > 0 ? `told by ${some(names, 8)}` : "told to no router";
  return [
    `${from}: ${up}`,
    ...down
      .slice(0, 8)
      .map(
        ({ spec, status }) =>
          `session of ${spec.node} with ${spec.peer}: ${status?.state ?? "unknown"}: ${status?.message ?? ""}`,
      ),
  ];
}

/** What the proxy of each node does for a pod there, and for a client outside; nodes that do the same share a line. */
function pathLines({ service, key }: ServiceView, { facts }: StoryContext): string[] {
  if (service.spec.type === "ExternalName") return ["none: DNS only"];
  const { cluster } = facts;
  const lines = new Map<string, string[]>();
  const [namespace = "", name = ""] = key.split("/");
  for (const { metadata } of cluster.objects.nodes) {
    const pod = cluster.objects.pods.find(
      ({ spec, status }) => spec.nodeName === metadata.name && !spec.hostNetwork && status?.podIP,
    );
    const inside = pod
      ? ({ kind: "pod", namespace: pod.metadata.namespace ?? "", name: pod.metadata.name } as const)
      : ({ kind: "node", name: metadata.name } as const);
    for (const from of [inside, { kind: "outside" } as const]) {
      // A Service that clients outside have no address of is none of their business.
      if (from.kind === "outside" && (service.spec.type ?? "ClusterIP") === "ClusterIP" && !service.spec.externalIPs)
        continue;
      for (const { name: portName, port, protocol = "TCP" } of service.spec.ports ?? []) {
        const to = {
          reference: { kind: "service", namespace, name } as const,
          port: portName ?? port,
          protocol: protocol as "TCP",
        };
        const said = `${words[from.kind]}, port ${port}/${protocol}: ${sayOf(() => tracePacket(cluster, { from, to, node: metadata.name }))}`;
        const nodes = lines.get(said);
        if (nodes) nodes.push(metadata.name);
        else lines.set(said, [metadata.name]);
      }
    }
  }
  const all = cluster.objects.nodes.length;
  return [...lines].map(([said, nodes]) => (nodes.length === all ? said : `${said} (on ${nodes.join(", ")})`));
}

const words = { pod: "from pods", node: "from the node", outside: "from outside" } as const;

function sayOf(trace: () => PacketTrace): string {
  try {
    const { verdict, reason, masquerade } = trace();
    const source =
      masquerade === undefined ? "" : masquerade ? "; the endpoint sees the node" : "; client address kept";
    return `${verdict}: ${reason}${source}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function endpointLines({ ports, pods, ready }: ServiceView, { facts }: StoryContext): string[] {
  const seen = new Set<string>();
  const lines: string[] = [];
  for (const { port, endpoints } of ports) {
    for (const endpoint of endpoints) {
      const pod = endpoint.pod === undefined ? undefined : facts.cluster.pod(endpoint.pod);
      if (endpoint.pod !== undefined) seen.add(endpoint.pod);
      const why = pod && whyNotReady(pod, facts.cluster.objects.events);
      const state = why ?? (endpoint.ready ? "ready" : endpoint.terminating ? "terminating" : "not ready");
      const who = [endpoint.pod ? `pod ${endpoint.pod}` : "no pod", endpoint.nodeName ? `on ${endpoint.nodeName}` : ""];
      const name = ports.length > 1 && port.name ? `${port.name} ` : "";
      lines.push(`${name}${at(endpoint.address, endpoint.port)}  ${who.join(" ").trim()}  ${state}`);
    }
  }
  // Pods that the selector means, and that are no endpoints at all.
  for (const pod of pods) {
    const key = `${pod.metadata.namespace ?? ""}/${pod.metadata.name}`;
    if (seen.has(key)) continue;
    lines.push(`none for pod ${key}: it ${whyNotReady(pod, facts.cluster.objects.events) ?? "is in no EndpointSlice"}`);
  }
  const rest = lines.length - most;
  const count = ready.length === 0 ? ["no endpoint takes connections"] : [];
  return rest > 0 ? [...count, ...lines.slice(0, most), `and ${rest} more`] : [...count, ...lines];
}

/** Connections that endpoints still have although they were taken out, by the node that leads them. */
function drainingLines({ key }: ServiceView, { draining }: StoryContext): string[] {
  const lines = draining
    .filter(({ service }) => service === key)
    .map(({ endpoint, node, connections, seconds }) => {
      const left = `${connections} ${connections === 1 ? "connection" : "connections"} left`;
      return `${endpoint}  by ${node}  ${left}, taken out ${seconds} s ago`;
    });
  const rest = lines.length - most;
  return rest > 0 ? [...lines.slice(0, most), `and ${rest} more`] : lines;
}

const trigger = "endpoints.kubernetes.io/last-change-trigger-time";

/** When its endpoints and its own fields were last changed, by whom, and the newest event. */
function changeLines({ service, slices }: ServiceView, { facts }: StoryContext): string[] {
  const lines: string[] = [];
  const times = slices.flatMap(({ metadata }) => metadata.annotations?.[trigger] ?? []).sort();
  const last = times.at(-1);
  // To the second, as the other times are.
  if (last) lines.push(`endpoints: ${last.replace(/\.\d+Z$/, "Z")}`);
  const [write] = (service.metadata.managedFields ?? []).toSorted((a, b) => ((a.time ?? "") < (b.time ?? "") ? 1 : -1));
  if (write?.time)
    lines.push(
      `object: ${write.time} by ${write.manager ?? "someone"}${write.subresource ? ` (${write.subresource})` : ""}`,
    );
  const event = newest(
    facts.cluster.objects.events.filter(
      ({ involvedObject: about }) =>
        about.kind === "Service" &&
        about.name === service.metadata.name &&
        about.namespace === service.metadata.namespace,
    ),
  );
  if (event) lines.push(`event: ${event.reason ?? ""}: ${event.message ?? ""}`);
  return lines;
}
