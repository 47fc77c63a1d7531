import { keyOf, type EndpointSlice } from "../kube/index.ts";
import { isProxyable, readAddress, type Family } from "./address.ts";

export type Protocol = "TCP" | "UDP" | "SCTP";

/** One address and port behind a Service port, merged over all slices that name it. */
export interface ServiceEndpoint {
  readonly address: string;
  readonly port: number;
  /** Conditions with their defaults filled in: ready and serving true, terminating false (discovery/v1). */
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly nodeName?: string;
  readonly zone?: string;
  readonly hostname?: string;
  /** The pod, when the endpoint is one: `namespace/name`. */
  readonly pod?: string;
  readonly nodeHints: readonly string[];
  readonly zoneHints: readonly string[];
  /** The slice it comes from: `namespace/name`. */
  readonly slice: string;
  /** Its share of new connections beside the others of its pool: a whole number from 2; absent: 1. */
  readonly weight?: number;
}

export const serviceNameLabel = "kubernetes.io/service-name";

/** The Service a slice belongs to, `namespace/name`; undefined when its label names none. */
export function serviceOfSlice(slice: EndpointSlice): string | undefined {
  const name = slice.metadata.labels?.[serviceNameLabel];
  return name ? `${slice.metadata.namespace ?? ""}/${name}` : undefined;
}

/**
 * The endpoints of one Service port over all its slices, sorted by address and port.
 *
 * Slices of another family or of type FQDN do not count, nor addresses beyond the first of an endpoint (discovery/v1), nor
 * addresses that no packet can be led to.
 * An endpoint may be in two slices while it moves between them: the one in the better condition counts.
 * A slice port without a name is the port named "".
 */
export function endpointsOfPort(
  slices: Iterable<EndpointSlice>,
  port: {
    readonly family: Family;
    readonly name: string;
    readonly protocol: Protocol;
    /** False: loopback addresses are no endpoints. */
    readonly allowLoopback?: boolean;
  },
): ServiceEndpoint[] {
  const found = new Map<string, ServiceEndpoint>();
  for (const slice of slices) {
    if (slice.addressType !== port.family) continue;
    const key = keyOf(slice);
    const namespace = slice.metadata.namespace ?? "";
    for (const { name, protocol, port: number } of slice.ports ?? []) {
      if ((name ?? "") !== port.name || (protocol ?? "TCP") !== port.protocol || !isPort(number)) continue;
      for (const endpoint of slice.endpoints ?? []) {
        const read = readAddress(endpoint.addresses[0] ?? "");
        if (read?.family !== port.family || !isProxyable(read.address, port.allowLoopback ?? true)) continue;
        const { address } = read;
        const id = `${address} ${number}`;
        const next = endpointOf(endpoint, address, number, key, namespace);
        const other = found.get(id);
        if (!other || rank(next) > rank(other)) found.set(id, next);
      }
    }
  }
  return [...found.values()].sort(byAddress);
}

/**
 * The endpoints that new connections may use when locality plays no part: the ready ones, or, when there is none,
 * those that still serve while they terminate (KEP-1669).
 */
export function usableEndpoints(endpoints: readonly ServiceEndpoint[]): readonly ServiceEndpoint[] {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  return ready.length > 0 ? ready : endpoints.filter(servesWhileTerminating);
}

export function servesWhileTerminating(endpoint: ServiceEndpoint): boolean {
  return endpoint.serving && endpoint.terminating;
}

type SliceEndpoint = NonNullable<EndpointSlice["endpoints"]>[number];
type Writable<T> = { -readonly [K in keyof T]: T[K] };

const noHints: readonly string[] = [];

// Runs for every endpoint of a Service at each of its changes: one allocation, nothing spread.
function endpointOf(
  from: SliceEndpoint,
  address: string,
  port: number,
  slice: string,
  namespace: string,
): ServiceEndpoint {
  const { conditions, hints, targetRef } = from;
  const endpoint: Writable<ServiceEndpoint> = {
    address,
    port,
    ready: conditions?.ready ?? true,
    serving: conditions?.serving ?? true,
    terminating: conditions?.terminating ?? false,
    nodeHints: hints?.forNodes?.map((hint) => hint.name) ?? noHints,
    zoneHints: hints?.forZones?.map((hint) => hint.name) ?? noHints,
    slice,
  };
  if (from.nodeName) endpoint.nodeName = from.nodeName;
  if (from.zone) endpoint.zone = from.zone;
  if (from.hostname) endpoint.hostname = from.hostname;
  if (targetRef?.kind === "Pod" && targetRef.name)
    endpoint.pod = `${targetRef.namespace ?? namespace}/${targetRef.name}`;
  return endpoint;
}

function rank(endpoint: ServiceEndpoint): number {
  return endpoint.ready ? 2 : endpoint.serving ? 1 : 0;
}

/** Whether this is a number that a port can have. */
export function isPort(port: number | undefined): port is number {
  return port !== undefined && Number.isInteger(port) && port > 0 && port < 65536;
}

function byAddress(a: ServiceEndpoint, b: ServiceEndpoint): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.port - b.port;
}
