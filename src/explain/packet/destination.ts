import { answer } from "../../dns/index.ts";
import { isHeadless, keyOf, type Service, type ServicePort } from "../../kube/index.ts";
import { endpointsOfPort, type Family, familyOf, type Protocol, type ServiceEndpoint } from "../../services/index.ts";
import { type Cluster, nodeAddresses, podAddresses } from "../cluster.ts";
import { ExplainError } from "../error.ts";
import { findNode, findPod, missing, type PacketClient } from "./client.ts";
import type { Hop } from "./packet-trace.ts";
import type { Reference, Target } from "./reference.ts";

/** Where a connection really goes, or what becomes of it before it has an address. */
export type Destination = { readonly hops: readonly Hop[]; readonly notes: readonly string[] } & (
  | { readonly outcome: "address"; readonly address: string; readonly port: number; readonly protocol: Protocol }
  /** DNS leads away from the cluster. */
  | {
      readonly outcome: "alias";
      readonly name: string;
      readonly port: number;
      readonly protocol: Protocol;
      readonly reason: string;
    }
  /** DNS gives the endpoints themselves. */
  | {
      readonly outcome: "endpoints";
      readonly service: Service;
      readonly endpoints: readonly ServiceEndpoint[];
      readonly port: number;
      readonly protocol: Protocol;
    }
);

/** Names that are followed in a row, as the cluster's DNS does. */
const longestChain = 16;

/** The families a destination may have; undefined when that is for the client to say. */
export function familyOfTarget(cluster: Cluster, { reference }: Target): Family | undefined {
  if (reference.kind === "address") return familyOf(reference.address);
  const service =
    reference.kind === "service" ? cluster.service(`${reference.namespace}/${reference.name}`) : undefined;
  const [only, other] = service?.spec.ipFamilies ?? [];
  return other === undefined && (only === "IPv4" || only === "IPv6") ? only : undefined;
}

/** Follows names and objects to an address. Throws ExplainError. */
export function destinationOf(cluster: Cluster, target: Target, client: PacketClient): Destination {
  const family = familyOf(client.address) ?? "IPv4";
  const { reference } = target;
  switch (reference.kind) {
    case "address":
      return atAddress(reference.address, target, [], portOfAddress(cluster, reference.address, target));
    case "pod": {
      const pod = findPod(cluster, `${reference.namespace}/${reference.name}`);
      const address = podAddresses(pod).find((one) => familyOf(one) === family);
      if (!address) throw new ExplainError("NOT_POSSIBLE", `pod ${keyOf(pod)} has no ${family} address yet`);
      const port = target.port ?? pod.spec.containers.flatMap(({ ports }) => ports ?? [])[0]?.containerPort;
      const named = pod.spec.containers.flatMap(({ ports }) => ports ?? []).find(({ name }) => name === port);
      return atAddress(address, target, [], named?.containerPort ?? port);
    }
    case "node": {
      const address = nodeAddresses(findNode(cluster, reference.name)).find((one) => familyOf(one) === family);
      if (!address) throw new ExplainError("NOT_POSSIBLE", `node ${reference.name} has no ${family} address`);
      return atAddress(address, target, [], target.port);
    }
    case "service":
      return toService(cluster, findService(cluster, `${reference.namespace}/${reference.name}`), target, client, []);
    case "name":
      return toName(cluster, reference.name, target, client, family);
    default:
      throw new ExplainError("BAD_REFERENCE", "outside is no destination", "give --to an address or a name");
  }
}

function findService(cluster: Cluster, key: string): Service {
  const service = cluster.service(key);
  if (!service) throw missing("Service", key, cluster.objects.services.map(keyOf));
  return service;
}

function atAddress(
  address: string,
  { protocol = "TCP" }: Target,
  hops: readonly Hop[],
  port: number | string | undefined,
): Destination {
  if (typeof port !== "number")
    throw new ExplainError(
      "BAD_REFERENCE",
      port === undefined
        ? `${address} has no port to go to`
        : `${address} is no Service: it has no port named ${JSON.stringify(port)}`,
      `give the number: ${address.includes(":") ? `[${address}]` : address}:PORT`,
    );
  return { outcome: "address", address, port, protocol, hops, notes: [] };
}

/** The port that was asked for; by its name, or when none was asked for, where a Service at that address has only one. */
function portOfAddress(cluster: Cluster, address: string, target: Target): number | string | undefined {
  if (typeof target.port === "number") return target.port;
  const service = cluster.dns.servicesAt(address)[0];
  return service ? portOfService(service, target).port : target.port;
}

function portOfService(service: Service, { port, protocol }: Target): ServicePort {
  const key = keyOf(service);
  const all = service.spec.ports ?? [];
  const fitting = all.filter((one) => protocol === undefined || (one.protocol ?? "TCP") === protocol);
  const found =
    port === undefined
      ? fitting.length === 1
        ? fitting
        : []
      : fitting.filter((one) => one.port === port || one.name === port);
  const [first] = found;
  if (first) return first;
  // A number that the Service does not have is traced all the same: what happens then is what the user wants to know.
  if (typeof port === "number") return { port, protocol: protocol ?? "TCP" };
  const names = all.map((one) => `${one.name ? `${one.name} (${one.port})` : one.port}/${one.protocol ?? "TCP"}`);
  if (all.length === 0)
    throw new ExplainError("BAD_REFERENCE", `Service ${key} has no ports`, "give the number of the port");
  throw new ExplainError(
    "BAD_REFERENCE",
    port === undefined
      ? `Service ${key} has several ports`
      : `Service ${key} has no port named ${JSON.stringify(port)}`,
    `name one of ${names.join(", ")}`,
  );
}

function toService(
  cluster: Cluster,
  service: Service,
  target: Target,
  client: PacketClient,
  before: readonly Hop[],
): Destination {
  const key = keyOf(service);
  const object = `Service ${key}`;
  let hops = before;
  if (service.spec.type === "ExternalName") {
    const alias = (service.spec.externalName ?? "").toLowerCase().replace(/\.$/, "");
    hops = [...hops, { step: "name", text: `ExternalName ${alias}`, owner: { object, field: "spec.externalName" } }];
    // The other name may be one of the cluster. A chain of aliases ends, as a resolver ends it.
    if (alias.endsWith(`.${cluster.facts.clusterDomain}`) && hops.length <= longestChain)
      return toName(cluster, alias, target, client, familyOf(client.address) ?? "IPv4", hops);

    const port = typeof target.port === "number" ? target.port : (service.spec.ports?.[0]?.port ?? 0);
    const endless = hops.length > longestChain;
    return {
      outcome: "alias",
      name: alias,
      port,
      protocol: target.protocol ?? "TCP",
      reason: endless
        ? "names lead to names without end: DNS gives up (SERVFAIL)"
        : `DNS answers with the name ${alias}; nothing of the cluster takes part`,
      hops,
      notes: [],
    };
  }
  const wanted = portOfService(service, target);
  const protocol = protocolOf(wanted.protocol);
  const family = familyOf(client.address) ?? "IPv4";
  if (isHeadless(service.spec)) return toHeadless(cluster, service, target, wanted, family, hops);
  const choice = addressFor(cluster, service, wanted, client, family);
  return {
    outcome: "address",
    address: choice.address,
    port: choice.port,
    protocol,
    hops: [...hops, { step: "name", text: choice.text, owner: { object, field: choice.field } }],
    notes: [],
  };
}

/** The address by which a client of that kind comes to a Service: from inside its cluster IP, from outside what is meant for that. */
function addressFor(cluster: Cluster, service: Service, port: ServicePort, client: PacketClient, family: Family) {
  const key = keyOf(service);
  const fits = (address: string | undefined): address is string =>
    address !== undefined && familyOf(address) === family;
  const { spec, status } = service;
  const ips = spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : []);
  const index = ips.findIndex(fits);
  const clusterIP = ips[index];
  const inside = client.node !== undefined;
  if (!inside) {
    const given = (status?.loadBalancer?.ingress ?? []).findIndex(({ ip }) => fits(ip));
    const ip = status?.loadBalancer?.ingress?.[given]?.ip;
    if (ip !== undefined)
      return {
        address: ip,
        port: port.port,
        text: `clients outside come by the load-balancer address ${ip}`,
        field: `status.loadBalancer.ingress[${given}].ip`,
      };
    const external = (spec.externalIPs ?? []).find(fits);
    if (external !== undefined)
      return {
        address: external,
        port: port.port,
        text: `clients outside come by the external address ${external}`,
        field: "spec.externalIPs",
      };
    const address = cluster.objects.nodes.flatMap(nodeAddresses).find(fits);
    if (port.nodePort && address !== undefined)
      return {
        address,
        port: port.nodePort,
        text: `clients outside come by NodePort ${port.nodePort} of a node`,
        field: "spec.ports[].nodePort",
      };
  }
  if (clusterIP !== undefined)
    return {
      address: clusterIP,
      port: port.port,
      text: `cluster IP ${clusterIP}`,
      field: spec.clusterIPs ? `spec.clusterIPs[${index}]` : "spec.clusterIP",
    };
  throw new ExplainError(
    "NOT_POSSIBLE",
    ips.length === 0
      ? `Service ${key} has no address: nothing has allocated one`
      : `Service ${key} has no ${family} address`,
    ips.length === 0 ? "apply it to a cluster, or give it a spec.clusterIP" : `its addresses are ${ips.join(", ")}`,
  );
}

function toHeadless(
  cluster: Cluster,
  service: Service,
  target: Target,
  wanted: ServicePort,
  family: Family,
  hops: readonly Hop[],
): Destination {
  const key = keyOf(service);
  const protocol = protocolOf(wanted.protocol);
  const all = endpointsOfPort(cluster.slices(key), { family, name: wanted.name ?? "", protocol });
  const listens = [...new Set(all.map(({ port }) => port))];
  const asked = typeof target.port === "number" ? target.port : (listens[0] ?? wanted.port);
  const notes =
    listens.length > 0 && !listens.includes(asked)
      ? [
          `a headless Service translates no ports: its pods listen on ${listens.join(", ")}, not on ${asked}; ask for that port`,
        ]
      : [];
  return {
    outcome: "endpoints",
    service,
    endpoints: all,
    port: asked,
    protocol,
    hops: [
      ...hops,
      {
        step: "name",
        text: "headless: DNS gives the addresses of the pods, and no proxy takes part",
        owner: { object: `Service ${key}`, field: "spec.clusterIP" },
      },
    ],
    notes,
  };
}

/** As a resolver does with the search list that pods have (ndots:5): the first name that exists counts. */
function toName(
  cluster: Cluster,
  name: string,
  target: Target,
  client: PacketClient,
  family: Family,
  hops: readonly Hop[] = [],
): Destination {
  const { clusterDomain } = cluster.facts;
  const search = [`${client.namespace || "default"}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
  const candidates = [...(name.endsWith(`.${clusterDomain}`) ? [name] : search.map((end) => `${name}.${end}`)), name];
  const zone = { domain: clusterDomain, serial: 0 };
  const type = family === "IPv4" ? "A" : "AAAA";
  for (const candidate of new Set(candidates)) {
    const found = answer({ name: candidate, type }, cluster.dns, zone);
    if (!found || found.rcode === "NXDOMAIN") continue;
    const looked = candidate === name ? name : `${name} is ${candidate} (search list)`;
    const [service, namespace] = candidate.slice(0, -clusterDomain.length - 1).split(".");
    const object = cluster.service(`${namespace}/${service}`);
    if (object) return toService(cluster, object, target, client, [...hops, { step: "name", text: looked }]);
    const address = found.answers.flatMap((record) => (record.type === type ? [record.data] : []))[0];
    if (address)
      return atAddress(address, target, [...hops, { step: "name", text: `${looked}: ${address}` }], target.port);
  }
  const keys = cluster.objects.services.map(keyOf);
  const [service = "", namespace = client.namespace || "default", ...more] = name.split(".");
  const isNamespace = more.length === 0 && keys.some((key) => key.startsWith(`${namespace}/`));
  if (isNamespace || more[0] === "svc") throw missing("Service behind the name", `${namespace}/${service}`, keys);
  const port = typeof target.port === "number" ? target.port : 0;
  return {
    outcome: "alias",
    name,
    port,
    protocol: target.protocol ?? "TCP",
    reason: `${name} is no name of the cluster: DNS asks its upstream, and nothing of the cluster takes part`,
    hops: [...hops, { step: "name", text: `${name} is outside of ${clusterDomain}` }],
    notes: [],
  };
}

export function protocolOf(protocol: string | undefined): Protocol {
  return protocol === "UDP" || protocol === "SCTP" ? protocol : "TCP";
}

/** The text of a reference, as a user would write it. */
export function textOfReference(reference: Reference): string {
  switch (reference.kind) {
    case "address":
      return reference.address;
    case "name":
      return reference.name;
    case "outside":
      return "outside";
    case "node":
      return `node/${reference.name}`;
    default:
      return `${reference.kind}/${reference.namespace}/${reference.name}`;
  }
}
