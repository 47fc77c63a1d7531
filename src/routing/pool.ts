import {
  type EndpointSlice,
  nameOfKey,
  type Service,
  type ServiceBackendPort,
  type ServicePort,
} from "../kube/index.ts";
import { endpointsOfPort, type Family, type ServiceEndpoint, servesWhileTerminating } from "../services/index.ts";
import type { BackendProtocol, BackendTls, Balance, Endpoint, Pool } from "./model.ts";

/** A Service port as an object names it. */
export interface PoolTarget {
  readonly namespace: string;
  readonly service: string;
  readonly port: ServiceBackendPort | undefined;
  /** Default: as the Service port's `appProtocol` says. */
  readonly protocol?: BackendProtocol;
  readonly tls?: BackendTls;
  readonly balance?: Balance;
  readonly proxyProtocol?: 1 | 2;
  /** The Service's own address and port take the place of its endpoints, where it has one: whoever balances Services does. */
  readonly throughService?: true;
  /** Why nothing can be sent there, even though it exists. */
  readonly unclear?: string;
  /** Keeps pools of the same Service port apart that are reached in different ways. */
  readonly variant?: string;
}

/** Unique name of the pool for a target. */
export function poolKey({ namespace, service, port, protocol, variant }: PoolTarget): string {
  const key = `${namespace}/${service}:${port?.name ?? port?.number ?? ""}`;
  return `${key}${protocol === undefined ? "" : `/${protocol}`}${variant === undefined ? "" : `@${variant}`}`;
}

/** Why a pool cannot have endpoints. */
export type Absence = "ServiceNotFound" | "ServicePortNotFound" | "UnsupportedService";

export interface PoolOf {
  readonly pool: Pool;
  /** Absent when there can be endpoints. */
  readonly absence?: Absence;
}

/**
 * The pool of a target: the endpoints behind one Service port, from the EndpointSlices of that Service. Where there
 * can be none, `absence` says why. A route names a Service port, never a pod port: `targetPort` is already resolved in
 * the slices.
 */
export function poolOf(target: PoolTarget, service: Service | undefined, slices: readonly EndpointSlice[]): PoolOf {
  const { namespace, service: name } = target;
  const port = String(target.port?.name ?? target.port?.number ?? "");
  const { balance, proxyProtocol } = target;
  const empty = {
    key: poolKey(target),
    service: { namespace, name },
    port,
    protocol: "http",
    endpoints: [],
    ...(balance === undefined ? {} : { balance }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
  } as const;
  const absent = (absence: Absence, why: string) => ({ pool: { ...empty, absent: why }, absence });

  if (!service) return absent("ServiceNotFound", `Service ${namespace}/${name} does not exist`);
  if (service.spec.type === "ExternalName")
    return absent("UnsupportedService", `Service ${namespace}/${name} is of type ExternalName, which has no endpoints`);
  if (target.unclear !== undefined) return absent("UnsupportedService", target.unclear);
  const transport = target.protocol === "udp" ? "UDP" : "TCP";
  const servicePort = findPort(service.spec.ports ?? [], target.port, transport);
  if (!servicePort)
    return absent("ServicePortNotFound", `Service ${namespace}/${name} has no ${transport} port ${port}`);
  if (target.protocol !== undefined) {
    const endpoints = endpointsFor(target, service, servicePort, slices, transport);
    return { pool: { ...empty, protocol: target.protocol, ...(target.tls ? { tls: target.tls } : {}), endpoints } };
  }
  if (tlsProtocols.has(servicePort.appProtocol ?? ""))
    return absent("UnsupportedService", `port ${port} of Service ${namespace}/${name} speaks TLS (its appProtocol)`);
  const protocol = servicePort.appProtocol === "kubernetes.io/h2c" ? "h2c" : "http";
  return { pool: { ...empty, protocol, endpoints: endpointsFor(target, service, servicePort, slices, "TCP") } };
}

// Without a word on which certificate to trust, TLS to a backend would be for show.
const tlsProtocols = new Set(["https", "kubernetes.io/wss"]);

function findPort(
  ports: readonly ServicePort[],
  wanted: ServiceBackendPort | undefined,
  transport: "TCP" | "UDP",
): ServicePort | undefined {
  return ports.find(
    (port) =>
      (port.protocol ?? "TCP") === transport &&
      (wanted?.name !== undefined ? port.name === wanted.name : port.port === wanted?.number),
  );
}

function endpointsFor(
  { throughService, namespace }: PoolTarget,
  service: Service,
  port: ServicePort,
  slices: readonly EndpointSlice[],
  transport: "TCP" | "UDP",
): Endpoint[] {
  const { clusterIP = "" } = service.spec;
  if (!throughService || clusterIP === "" || clusterIP === "None") return endpointsOf(service, port, slices, transport);
  const object = { kind: "Service", namespace, name: service.metadata.name };
  return [{ address: clusterIP, port: port.port, ready: true, owner: { object, field: "spec.clusterIP" } }];
}

function endpointsOf(
  service: Service,
  port: ServicePort,
  slices: readonly EndpointSlice[],
  protocol: "TCP" | "UDP",
): Endpoint[] {
  const families = (service.spec.ipFamilies ?? ["IPv4", "IPv6"]) as Family[];
  const endpoints = families.flatMap((family) => endpointsOfPort(slices, { family, name: port.name ?? "", protocol }));
  // All of them being stopped at once is no reason to turn away what they still answer (KEP-1669).
  const isReady = endpoints.some(staysReady) ? staysReady : servesWhileTerminating;
  return endpoints.map((endpoint) => ({
    address: endpoint.address,
    port: endpoint.port,
    ready: isReady(endpoint),
    owner: { object: { kind: "EndpointSlice", ...nameOfKey(endpoint.slice) }, field: "endpoints" },
  }));
}

const staysReady = ({ ready, terminating }: ServiceEndpoint): boolean => ready && !terminating;

/** A `poolOf` that gives the same pool for the same objects as the last time. */
export interface PoolMemory {
  readonly poolOf: typeof poolOf;
  forget(key: string): void;
  /** Forgets all other pools. */
  keep(keys: { has(key: string): boolean }): void;
}

interface Known {
  readonly target: PoolTarget;
  readonly service: Service | undefined;
  readonly slices: readonly EndpointSlice[];
  readonly made: PoolOf;
}

/** Reached in the same way. Their keys are the same already. */
function sameWay(a: PoolTarget, b: PoolTarget): boolean {
  if (a.throughService !== b.throughService) return false;
  if (a.unclear !== b.unclear || a.balance !== b.balance || a.proxyProtocol !== b.proxyProtocol) return false;
  return a.tls === b.tls || JSON.stringify(a.tls) === JSON.stringify(b.tls);
}

export function createPoolMemory(): PoolMemory {
  const known = new Map<string, Known>();
  return {
    poolOf(target, service, slices) {
      const key = poolKey(target);
      const before = known.get(key);
      const same =
        before !== undefined &&
        before.service === service &&
        sameWay(before.target, target) &&
        before.slices.length === slices.length &&
        before.slices.every((slice, index) => slice === slices[index]);
      if (before && same) return before.made;
      const made = poolOf(target, service, slices);
      known.set(key, { target, service, slices, made });
      return made;
    },
    forget: (key) => void known.delete(key),
    keep(keys) {
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
    },
  };
}
