import { isIPv6 } from "node:net";
import { keyOf, type Pod } from "../../kube/index.ts";
import { addressSet, type Family, familyOf, usableEndpoints } from "../../services/index.ts";
import { endpointsOfPort } from "../../services/index.ts";
import { type Cluster, nodeAddresses, podAddresses, podCidrsOf, primaryFamily } from "../cluster.ts";
import { ExplainError, nearest } from "../error.ts";
import { whyNotReady } from "../pods.ts";
import type { Reference } from "./reference.ts";

/** Where a connection comes from. */
export interface PacketClient {
  readonly text: string;
  readonly address: string;
  /** The node it is on, when it is in the cluster. */
  readonly node?: string;
  /** Namespace of the pod: where its short names are looked for. */
  readonly namespace?: string;
  readonly object?: string;
  readonly field?: string;
}

/** Addresses for documentation (RFC 5737, RFC 3849): no pod and no node has them. */
const someoneOutside: Readonly<Record<Family, string>> = { IPv4: "203.0.113.1", IPv6: "2001:db8::1" };

/** The client that a reference names, with its address of `family` (absent: its first). Throws ExplainError. */
export function clientOf(cluster: Cluster, reference: Reference, family: Family | undefined): PacketClient {
  switch (reference.kind) {
    case "outside":
      return { text: "a client outside", address: someoneOutside[family ?? primaryFamily(cluster.objects)] };
    case "address":
      return atAddress(cluster, reference.address);
    case "pod":
      return ofPod(cluster, findPod(cluster, `${reference.namespace}/${reference.name}`), family);
    case "node": {
      const node = findNode(cluster, reference.name);
      const address = pick(nodeAddresses(node), family, `node ${reference.name}`);
      return { text: `node/${reference.name}`, address, ...nodeFields(reference.name) };
    }
    case "service":
      return behindService(cluster, `${reference.namespace}/${reference.name}`, family);
    default:
      throw new ExplainError(
        "BAD_REFERENCE",
        `a client is not a name (${JSON.stringify(reference.name)})`,
        "give --from an address, pod/NAMESPACE/NAME, node/NAME or outside",
      );
  }
}

function atAddress(cluster: Cluster, address: string): PacketClient {
  const pod = cluster.podAt(address);
  if (pod) return { ...ofPod(cluster, pod, undefined), address };
  const node = cluster.nodeAt(address)?.metadata.name;
  if (node) return { text: `node/${node}`, address, ...nodeFields(node) };
  const inPods = addressSet(podCidrsOf(cluster.objects, cluster.facts)).has(address);
  return { text: inPods ? "an address of the pods' range that no pod has" : "an address outside", address };
}

function ofPod(cluster: Cluster, pod: Pod, family: Family | undefined): PacketClient {
  const key = keyOf(pod);
  const addresses = podAddresses(pod);
  if (addresses.length === 0) {
    const why = whyNotReady(pod, cluster.objects.events) ?? "its status names none";
    throw new ExplainError("NOT_POSSIBLE", `pod ${key} has no address: it ${why}`, "wait until it runs");
  }
  const { nodeName } = pod.spec;
  const host = pod.spec.hostNetwork ? " (host network: it is its node)" : "";
  return {
    text: `pod/${key}${host}`,
    address: pick(addresses, family, `pod ${key}`),
    ...(nodeName ? { node: nodeName } : {}),
    namespace: pod.metadata.namespace ?? "",
    object: `Pod ${key}`,
    field: "status.podIP",
  };
}

/** A pod behind a Service, as its client. */
function behindService(cluster: Cluster, key: string, family: Family | undefined): PacketClient {
  const service = cluster.service(key);
  if (!service) throw missing("Service", key, cluster.objects.services.map(keyOf));
  for (const { name = "", protocol = "TCP" } of service.spec.ports ?? []) {
    const all = endpointsOfPort(cluster.slices(key), {
      family: family ?? primaryFamily(cluster.objects),
      name,
      protocol: protocol === "UDP" || protocol === "SCTP" ? protocol : "TCP",
    });
    const pod = usableEndpoints(all).flatMap((endpoint) => (endpoint.pod ? (cluster.pod(endpoint.pod) ?? []) : []))[0];
    if (pod) return ofPod(cluster, pod, family);
  }
  throw new ExplainError(
    "NOT_POSSIBLE",
    `no pod is ready behind Service ${key}`,
    "name a pod or an address with --from",
  );
}

export function findPod(cluster: Cluster, key: string): Pod {
  const pod = cluster.pod(key);
  if (pod) return pod;
  throw missing("pod", key, cluster.objects.pods.map(keyOf));
}

export function findNode(cluster: Cluster, name: string) {
  const node = cluster.node(name);
  if (node) return node;
  const names = cluster.objects.nodes.map(({ metadata }) => metadata.name);
  throw new ExplainError(
    "NOT_FOUND",
    `there is no node ${name}`,
    names.length > 0 ? `nodes: ${some(names)}` : undefined,
  );
}

/** NOT_FOUND, with the names that are alike. */
export function missing(kind: string, key: string, keys: readonly string[]): ExplainError {
  const [namespace = "", name = ""] = key.split("/");
  const sameName = keys.filter((other) => other.endsWith(`/${name}`));
  const alike = sameName.length > 0 ? sameName : nearest(key, keys);
  const there = keys.filter((other) => other.startsWith(`${namespace}/`));
  const remedy =
    alike.length > 0
      ? `did you mean ${some(alike)}`
      : there.length > 0
        ? `in namespace ${namespace} there are ${some(there.map((other) => other.slice(namespace.length + 1)))}`
        : `namespace ${namespace} has none`;
  return new ExplainError("NOT_FOUND", `there is no ${kind} ${key}`, remedy);
}

const some = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", ");

function nodeFields(name: string) {
  return { node: name, object: `Node ${name}`, field: "status.addresses" };
}

function pick(addresses: readonly string[], family: Family | undefined, what: string): string {
  const found = family === undefined ? addresses[0] : addresses.find((address) => familyOf(address) === family);
  if (found !== undefined) return found;
  throw new ExplainError("NOT_POSSIBLE", `${what} has no ${family ?? ""} address`.replace("  ", " "));
}

/** `10.0.0.7:80`, `[fd00::1]:80`. */
export function at(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}
