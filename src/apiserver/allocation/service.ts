import {
  cidrContains,
  formatIp,
  invalid,
  needsClusterIp,
  needsHealthCheckNodePort,
  needsNodePort,
  parseCidr,
  parseIp,
  resources,
  statusError,
  type FieldError,
  type IPAddress,
  type IpFamily,
  type KubeObject,
  type Resource,
  type Service,
  type ServiceCIDR,
  type ServicePort,
} from "../../kube/index.ts";
import type { Allocator, Companion } from "../registry/index.ts";
import { keyFor, prefixFor, type Storage } from "../storage/index.ts";
import { addressBands, pick, portBands, type Bands } from "./pool.ts";
import { addressRecord, addressRecords, isHeld, portRecord, portRecords, transfer } from "./records.ts";

export interface ServiceAllocatorOptions {
  readonly storage: Storage;
  /** One block, or one of each family, the primary one first: 10.96.0.0/16, fd00:10:96::/112. */
  readonly serviceCidrs: readonly string[];
  readonly nodePortRange: PortRange;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Both ends belong to it. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

const none: Companion = { compare: [], operations: [] };

/** Whether objects of a kind are given addresses or ports. */
export const isAllocated = (resource: Resource): boolean =>
  resource.kind === resources.Service.kind && resource.group === "";

/** Gives Services their cluster addresses and node ports (KEP-3070, KEP-3668), and takes back what they no longer hold. */
export function createServiceAllocator(options: ServiceAllocatorOptions): Allocator {
  const { storage } = options;
  const ranges = serviceRanges(storage, options.serviceCidrs);
  const ports = portRange(options.nodePortRange);

  return (resource: Resource, object: KubeObject | undefined, old: KubeObject | undefined) => {
    if (resource === resources.IPAddress && !object && old) refuseWhileHeld(old as IPAddress, storage);
    if (!isAllocated(resource)) return none;
    const before = old as Service | undefined;
    const after = object as Service | undefined;
    if (after) {
      giveAddresses(after, before ? addressesOf(before) : [], ranges(), storage);
      givePorts(after, new Set(before ? portsOf(before) : []), ports, storage);
    }
    const owner = (after ?? before) as Service;
    const changes = [
      transfer(addressRecords, before ? addressesOf(before) : [], after ? addressesOf(after) : [], (address) =>
        addressRecord(address, owner, options.now()),
      ),
      transfer(portRecords, before ? portsOf(before) : [], after ? portsOf(after) : [], (port) =>
        portRecord(port, owner),
      ),
    ];
    return {
      compare: changes.flatMap(({ compare }) => compare),
      operations: changes.flatMap(({ operations }) => operations),
    };
  };
}

/** An address that a Service has may not be given to another one: its record stays while the Service does. */
function refuseWhileHeld({ metadata, spec }: IPAddress, storage: Storage): void {
  const { resource, namespace = "", name } = spec.parentRef;
  if (resource !== "services") return;
  const entry = storage.of(resources.Service).get(keyFor(resources.Service, { namespace, name }));
  if (!entry || !addressesOf(entry.object as Service).includes(metadata.name)) return;
  const text = `ipaddresses.networking.k8s.io "${metadata.name}" is forbidden: Service ${namespace}/${name} has this address: delete the Service first`;
  throw statusError("Forbidden", text, { name: metadata.name, group: "networking.k8s.io", kind: "ipaddresses" });
}

/** The families of these blocks, in their order. Throws Error for what is no block. */
export const familiesOf = (serviceCidrs: readonly string[]): readonly IpFamily[] =>
  serviceCidrs.map((text) => addressRange(text).family);

/** The blocks that addresses come from: those that the server was started with, then those of ServiceCIDRs of their families. */
function serviceRanges(storage: Storage, serviceCidrs: readonly string[]): () => readonly AddressRange[] {
  const own = serviceCidrs.map(addressRange);
  let version = "";
  let all: readonly AddressRange[] = own;
  return () => {
    const entries = storage.of(resources.ServiceCIDR).under(prefixFor(resources.ServiceCIDR));
    const present = entries.map(({ key, revision }) => `${key} ${revision}`).join();
    if (present === version) return all;
    const texts = entries
      .map((entry) => entry.object as ServiceCIDR)
      .filter(({ metadata }) => !metadata.deletionTimestamp)
      .flatMap(({ spec }) => spec.cidrs ?? []);
    const others = [...new Set(texts)].filter((text) => !serviceCidrs.includes(text)).map(addressRange);
    all = [...own, ...others.filter((range) => own.some(({ family }) => family === range.family))];
    version = present;
    return all;
  };
}

interface AddressRange {
  readonly text: string;
  readonly family: IpFamily;
  readonly bands: Bands;
  contains(address: string): boolean;
  at(index: number): string;
}

/** Addresses that may be given: neither the first (the network) nor, of IPv4, the last (broadcast). */
function addressRange(text: string): AddressRange {
  const cidr = parseCidr(text);
  if (!cidr) throw new Error(`service range ${text}: must be a block of addresses such as 10.96.0.0/16`);
  const bits = (cidr.family === "IPv4" ? 32 : 128) - cidr.prefix;
  const size = 2 ** Math.min(bits, 20);
  const usable = bits <= 1 ? size : size - (cidr.family === "IPv4" ? 2 : 1);
  return {
    text,
    family: cidr.family,
    bands: { ...addressBands(size), size: usable },
    contains: (address) => {
      const ip = parseIp(address);
      return ip !== undefined && cidrContains(cidr, ip);
    },
    at: (index) => formatIp({ family: cidr.family, value: cidr.base + BigInt(index) + 1n }),
  };
}

/** Gives an address of each family that the Service has and no address yet; `held` are those that it had before. */
function giveAddresses(
  service: Service,
  held: readonly string[],
  ranges: readonly AddressRange[],
  storage: Storage,
): void {
  const { spec } = service;
  if (!spec || !needsClusterIp(spec)) return;
  const addresses = [...(spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : []))];
  for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
    const wanted = addresses[i] || (i === 0 ? spec.clusterIP : undefined);
    // Only who has all before it can get a further one: validation says what is wrong with the rest.
    if (i > addresses.length) break;
    const own = ranges.filter((range) => range.family === family);
    if (wanted) {
      takeWanted(service, i, wanted, held, own, storage);
      addresses[i] = wanted;
    } else if (own.length > 0) addresses[i] = freeIn(own, storage);
  }
  const [first] = addresses;
  if (first === undefined) return;
  spec.clusterIP = first;
  spec.clusterIPs = addresses;
}

/** Checks the address that is asked for at this place. One that the Service has there may not change: validation says so. */
function takeWanted(
  service: Service,
  place: number,
  wanted: string,
  held: readonly string[],
  ranges: readonly AddressRange[],
  storage: Storage,
): void {
  // Validation says what is wrong with what is no address, or one of the other family.
  const isOfOther = ranges.length > 0 && ranges[0]?.family !== parseIp(wanted)?.family;
  if (held[place] !== undefined || isOfOther || !parseIp(wanted)) return;
  const problem = !ranges.some((range) => range.contains(wanted))
    ? "the provided network does not match the current range"
    : isHeld(storage, addressRecords, wanted)
      ? "provided IP is already allocated"
      : undefined;
  if (!problem) return;
  refuse(service, {
    type: "Invalid",
    field: "spec.clusterIPs",
    value: service.spec?.clusterIPs ?? [wanted],
    detail: `failed to allocate IP ${wanted}: ${problem}`,
  });
}

function freeIn(ranges: readonly AddressRange[], storage: Storage): string {
  for (const range of ranges) {
    const index = pick(range.bands, (i) => !isHeld(storage, addressRecords, range.at(i)));
    if (index !== undefined) return range.at(index);
  }
  throw full("failed to allocate a serviceIP");
}

interface Ports extends PortRange {
  readonly bands: Bands;
}

function portRange({ first, last }: PortRange): Ports {
  return { first, last, bands: portBands(last - first + 1) };
}

function givePorts(service: Service, held: ReadonlySet<string>, range: Ports, storage: Storage): void {
  const { spec } = service;
  if (!spec) return;
  /** Ports that this Service has: by number, they may be shared between its protocols. */
  const own = new Set(held);
  const take = (port: number, field: string): void => {
    if (own.has(String(port))) return;
    const detail =
      port < range.first || port > range.last
        ? `provided port is not in the valid range. The range of valid ports is ${range.first}-${range.last}`
        : isHeld(storage, portRecords, String(port))
          ? "provided port is already allocated"
          : undefined;
    if (detail) refuse(service, { type: "Invalid", field, value: port, detail });
    own.add(String(port));
  };
  const next = (): number => {
    const isFree = (i: number): boolean =>
      !own.has(String(range.first + i)) && !isHeld(storage, portRecords, String(range.first + i));
    const index = pick(range.bands, isFree);
    if (index === undefined) throw full("failed to allocate a nodePort");
    own.add(String(range.first + index));
    return range.first + index;
  };

  // Validation refuses node ports, and health checks, of other types.
  if (spec.type !== "NodePort" && spec.type !== "LoadBalancer") return;
  const all = spec.ports ?? [];
  for (const [i, port] of all.entries()) if (port.nodePort) take(port.nodePort, `spec.ports[${i}].nodePort`);
  if (needsNodePort(spec)) {
    // The protocols of one service port share a node port.
    for (const port of all) port.nodePort ||= sharedPort(port, all) ?? next();
  }
  if (needsHealthCheckNodePort(spec)) {
    if (spec.healthCheckNodePort) take(spec.healthCheckNodePort, "spec.healthCheckNodePort");
    else spec.healthCheckNodePort = next();
  }
}

function sharedPort(port: ServicePort, all: readonly ServicePort[]): number | undefined {
  const taken = all
    .filter((other) => other.protocol === port.protocol && other !== port)
    .map(({ nodePort }) => nodePort);
  return all.find((other) => other.port === port.port && other.nodePort && !taken.includes(other.nodePort))?.nodePort;
}

function addressesOf({ spec }: Service): string[] {
  if (!spec || spec.type === "ExternalName") return [];
  return (spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : [])).filter(
    (address) => address && address !== "None",
  );
}

function portsOf({ spec }: Service): string[] {
  const ports = (spec?.ports ?? []).flatMap(({ nodePort }) => (nodePort ? [String(nodePort)] : []));
  return spec?.healthCheckNodePort ? [...ports, String(spec.healthCheckNodePort)] : ports;
}

function refuse(service: Service, error: FieldError): never {
  throw invalid(resources.Service, service.metadata.name, [error]);
}

function full(what: string): Error {
  return statusError("InternalError", `Internal error occurred: ${what}: range is full`);
}
