import { parseIp, type EndpointSlice, type Service } from "../kube/index.ts";
import type { DnsRecord } from "./message.ts";
import { addressOfDashed, addressOfReverseName, dashed, labelsBelow } from "./names.ts";
import { clusterAddresses, serviceOf, type ClusterView } from "./view.ts";

/** Seconds: what every record of the cluster may be cached for. */
const ttl = 5;
const schemaVersion = "1.1.0";

export interface Zone {
  /** For example `cluster.local`: lower case, no dot at the end. */
  readonly domain: string;
  /** Serial number of the zone. */
  readonly serial: number;
}

export interface ZoneAnswer {
  /** NOERROR without answers: the name exists, but has no record of this type. */
  readonly rcode: "NOERROR" | "NXDOMAIN";
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
  /** Where the name leads, when it is another name for something. */
  readonly alias?: string;
}

/** Record data without the owner's name: what is at a name. */
type Data = { type: "A" | "AAAA" | "CNAME" | "PTR" | "NS" | "TXT"; data: string } | Srv | Soa;
type Srv = { type: "SRV"; data: { priority: number; weight: number; port: number; target: string } };
type Soa = Pick<Extract<DnsRecord, { type: "SOA" }>, "type" | "data">;

/** What is at a name; undefined: there is no such name. */
type Found = { readonly records: readonly Data[]; readonly additionals?: readonly DnsRecord[] } | undefined;

/** A name that exists only because there are names below it. */
const emptyName: Found = { records: [] };

/**
 * Answers from the cluster's state, as "Kubernetes DNS-Based Service Discovery" 1.1.0 says. Pure. Undefined: the name is none of
 * the cluster's, so someone else has to answer.
 */
export function answer(
  question: { name: string; type: string },
  view: ClusterView,
  zone: Zone,
): ZoneAnswer | undefined {
  const labels = labelsBelow(question.name, zone.domain);
  const found = labels ? findName(labels, view, zone) : findReverse(question.name, view, zone);
  if (!labels && !found) return undefined;
  if (!found) return { rcode: "NXDOMAIN", answers: [], authorities: [soaOf(zone)], additionals: [] };

  const { records, additionals = [] } = found;
  const wanted = records.filter(({ type }) => type === question.type || type === "CNAME" || question.type === "ANY");
  const answers = wanted.map((record) => recordOf(record, question.name));
  const alias = records.flatMap((record) => (record.type === "CNAME" ? [record.data] : []))[0];
  return {
    rcode: "NOERROR",
    answers,
    authorities: answers.length === 0 ? [soaOf(zone)] : [],
    additionals: answers.length > 0 ? additionals : [],
    ...(alias && question.type !== "CNAME" && question.type !== "ANY" ? { alias } : {}),
  };
}

function soaData({ domain, serial }: Zone): Soa {
  const times = { refresh: 7200, retry: 1800, expire: 86_400, minimum: ttl };
  return { type: "SOA", data: { mname: `ns.dns.${domain}`, rname: `hostmaster.${domain}`, serial, ...times } };
}

/** Says how long the absence of a name may be remembered (RFC 2308). */
function soaOf(zone: Zone): DnsRecord {
  return { ...soaData(zone), name: zone.domain, ttl, class: "IN" };
}

/** `labels` of the name below the domain, the last first. */
function findName(labels: readonly string[], view: ClusterView, zone: Zone): Found {
  const [first, ...rest] = labels;
  switch (first) {
    case undefined:
      return { records: [soaData(zone), { type: "NS", data: `ns.dns.${zone.domain}` }] };
    case "svc":
      return findService(rest, view, zone);
    case "pod":
      return findPod(rest, view);
    case "dns-version":
      return rest.length === 0 ? { records: [{ type: "TXT", data: schemaVersion }] } : undefined;
    case "dns":
      return findNameServer(rest, view);
    default:
      return undefined;
  }
}

function findNameServer(labels: readonly string[], view: ClusterView): Found {
  if (labels.length === 0) return emptyName;
  if (labels.length > 1 || labels[0] !== "ns") return undefined;
  const service = view.service("kube-system", "kube-dns");
  return { records: service ? clusterAddresses(service).map(addressData) : [] };
}

function findPod([namespace, label, ...rest]: readonly string[], view: ClusterView): Found {
  if (namespace === undefined) return emptyName;
  if (!view.hasNamespace(namespace) || rest.length > 0) return undefined;
  if (label === undefined) return emptyName;
  const ip = addressOfDashed(label);
  return ip && view.hasPod(namespace, ip) ? { records: [addressData(ip)] } : undefined;
}

function findService([namespace, name, ...rest]: readonly string[], view: ClusterView, zone: Zone): Found {
  if (namespace === undefined) return emptyName;
  if (name === undefined) return view.hasNamespace(namespace) ? emptyName : undefined;
  const service = view.service(namespace, name);
  if (!service) return undefined;
  if (service.spec?.type === "ExternalName") {
    return rest.length === 0 ? { records: [{ type: "CNAME", data: service.spec.externalName ?? "" }] } : undefined;
  }
  const owner = `${name}.${namespace}.svc.${zone.domain}`;
  if (isHeadless(service)) return findInHeadless(endpointsOf(service, view), rest, owner);
  const addresses = clusterAddresses(service).map(addressData);
  if (rest.length === 0) return { records: addresses };
  return findPorts(rest, service.spec?.ports ?? [], (ports) => ({
    records: ports.map(({ port }) => srvData(port, owner)),
    additionals: addresses.map((data) => recordOf(data, owner)),
  }));
}

function isHeadless(service: Service): boolean {
  return service.spec?.clusterIP === "None" || service.spec?.clusterIPs?.[0] === "None";
}

/** An address behind a headless Service, and the ports it is reached on. */
interface Target {
  readonly hostname: string;
  readonly address: string;
  readonly ports: readonly Port[];
}

interface Port {
  readonly name?: string;
  readonly protocol?: string;
  readonly port?: number;
}

function endpointsOf(service: Service, view: ClusterView): Target[] {
  const { namespace = "", name } = service.metadata;
  return view.slices(namespace, name).flatMap((slice) => targetsOf(slice, service));
}

function targetsOf(slice: EndpointSlice, service: Service): Target[] {
  const ready = (slice.endpoints ?? []).filter((endpoint) => {
    // Not known counts as ready; a Service may publish those that are not.
    return service.spec?.publishNotReadyAddresses || endpoint.conditions?.ready !== false;
  });
  return ready.flatMap(({ addresses, hostname }) => {
    const address = addresses[0];
    if (address === undefined) return [];
    return [{ hostname: (hostname || dashed(address)).toLowerCase(), address, ports: slice.ports ?? [] }];
  });
}

function findInHeadless(targets: readonly Target[], rest: readonly string[], owner: string): Found {
  const [label, ...more] = rest;
  // Section 2.4.1: without a ready endpoint there is no such name.
  if (label === undefined) return targets.length > 0 ? { records: addressesOf(targets) } : undefined;
  if (!label.startsWith("_")) {
    const named = targets.filter((target) => target.hostname === label);
    return named.length > 0 && more.length === 0 ? { records: addressesOf(named) } : undefined;
  }
  const ports = targets.flatMap((target) => target.ports.map((port) => ({ ...port, target })));
  return findPorts(rest, ports, (matching) => {
    const unique = new Map(matching.map((port) => [`${port.target.hostname}:${port.port}`, port]));
    const found = [...unique.values()].filter((port) => port.port !== undefined);
    return {
      records: found.map(({ port, target }) => srvData(port ?? 0, `${target.hostname}.${owner}`)),
      additionals: found.map(({ target }) => recordOf(addressData(target.address), `${target.hostname}.${owner}`)),
    };
  });
}

function addressesOf(targets: readonly Target[]): Data[] {
  return [...new Set(targets.map((target) => target.address))].map(addressData);
}

/** `_proto` and `_port` below a Service. Only named ports have names here. */
function findPorts<P extends Port>(
  [protocol, port, ...rest]: readonly string[],
  ports: readonly P[],
  give: (ports: readonly P[]) => Found,
): Found {
  if (rest.length > 0) return undefined;
  const ofProtocol = ports.filter((one) => one.name && `_${(one.protocol ?? "TCP").toLowerCase()}` === protocol);
  if (port === undefined) return ofProtocol.length > 0 ? emptyName : undefined;
  const matching = ofProtocol.filter((one) => `_${one.name}` === port);
  return matching.length > 0 ? give(matching) : undefined;
}

/** PTR records of cluster addresses, and of the endpoints of headless Services. */
function findReverse(name: string, view: ClusterView, zone: Zone): Found {
  const ip = addressOfReverseName(name);
  if (!ip) return undefined;
  const pointers = view.servicesAt(ip).map((service) => {
    return `${service.metadata.name}.${service.metadata.namespace}.svc.${zone.domain}`;
  });
  for (const slice of view.slicesAt(ip)) {
    const service = view.service(slice.metadata.namespace ?? "", serviceOf(slice));
    if (!service || !isHeadless(service)) continue;
    for (const { address, hostname } of targetsOf(slice, service)) {
      if (address !== ip) continue;
      pointers.push(`${hostname}.${service.metadata.name}.${service.metadata.namespace}.svc.${zone.domain}`);
    }
  }
  const unique = [...new Set(pointers)];
  return unique.length > 0 ? { records: unique.map((data) => ({ type: "PTR", data })) } : undefined;
}

function addressData(ip: string): Data {
  return { type: parseIp(ip)?.family === "IPv6" ? "AAAA" : "A", data: ip };
}

function srvData(port: number, target: string): Srv {
  return { type: "SRV", data: { priority: 0, weight: 100, port, target } };
}

function recordOf(data: Data, name: string): DnsRecord {
  return { ...data, name, ttl, class: "IN" };
}
