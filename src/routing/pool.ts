import type { EndpointSlice, Service, ServiceBackendPort, ServicePort } from "../kube/index.ts";
import type { Endpoint, Pool } from "./model.ts";
import { refOf } from "./owner.ts";

/** A Service port as an object names it. */
export interface PoolTarget {
  readonly namespace: string;
  readonly service: string;
  readonly port: ServiceBackendPort | undefined;
}

/** Unique name of the pool for a target. */
export function poolKey({ namespace, service, port }: PoolTarget): string {
  return `${namespace}/${service}:${port?.name ?? port?.number ?? ""}`;
}

/** Why a pool cannot have endpoints. */
export type Absence = "ServiceNotFound" | "ServicePortNotFound" | "UnsupportedService";

/**
 * The pool of a target: the endpoints behind one Service port, from the EndpointSlices of that Service. Where there
 * can be none, `absence` says why. A route names a Service port, never a pod port: `targetPort` is already resolved in
 * the slices.
 */
export function poolOf(
  target: PoolTarget,
  service: Service | undefined,
  slices: readonly EndpointSlice[],
): { pool: Pool; absence?: Absence } {
  const { namespace, service: name } = target;
  const port = String(target.port?.name ?? target.port?.number ?? "");
  const empty = { key: poolKey(target), service: { namespace, name }, port, protocol: "http", endpoints: [] } as const;
  const absent = (absence: Absence, why: string) => ({ pool: { ...empty, absent: why }, absence });

  if (!service) return absent("ServiceNotFound", `Service ${namespace}/${name} does not exist`);
  if (service.spec.type === "ExternalName")
    return absent("UnsupportedService", `Service ${namespace}/${name} is of type ExternalName, which has no endpoints`);
  const servicePort = findPort(service.spec.ports ?? [], target.port);
  if (!servicePort) return absent("ServicePortNotFound", `Service ${namespace}/${name} has no TCP port ${port}`);
  const protocol = servicePort.appProtocol === "kubernetes.io/h2c" ? "h2c" : "http";
  return { pool: { ...empty, protocol, endpoints: endpointsOf(servicePort, slices) } };
}

function findPort(ports: readonly ServicePort[], wanted: ServiceBackendPort | undefined): ServicePort | undefined {
  return ports.find(
    (port) =>
      (port.protocol ?? "TCP") === "TCP" &&
      (wanted?.name !== undefined ? port.name === wanted.name : port.port === wanted?.number),
  );
}

function endpointsOf(servicePort: ServicePort, slices: readonly EndpointSlice[]): Endpoint[] {
  const endpoints = new Map<string, Endpoint>();
  for (const slice of slices) {
    if (slice.addressType === "FQDN") continue;
    const port = slice.ports?.find(
      (each) => (each.name ?? "") === (servicePort.name ?? "") && (each.protocol ?? "TCP") === "TCP",
    );
    if (port?.port === undefined) continue;
    for (const [index, endpoint] of (slice.endpoints ?? []).entries()) {
      const address = endpoint.addresses[0];
      if (address === undefined) continue;
      const { ready, terminating } = endpoint.conditions ?? {};
      const key = `${address} ${port.port}`;
      const isReady = (ready ?? true) && !terminating;
      // While a pod moves from one slice to another it is in both for a moment.
      if (endpoints.get(key)?.ready) continue;
      const owner = { object: refOf(slice), field: `endpoints[${index}]` };
      endpoints.set(key, { address, port: port.port, ready: isReady, owner });
    }
  }
  return [...endpoints.values()];
}
