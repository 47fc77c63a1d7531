import { resources, type EndpointSlice, type Service } from "../../kube/index.ts";
import { keyFor, prefixFor, type Storage } from "../storage/index.ts";
import { EgressError, type ServiceTarget } from "./egress.ts";

/** An address and a port that something listens on. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Label by which a slice says which Service it belongs to. */
const ownerLabel = "kubernetes.io/service-name";

/** Finds where a Service is reached now: not at its cluster address, which this process may have no way to. */
export type ResolveService = (target: ServiceTarget) => Endpoint;

/** Resolves by the objects that are stored. Throws EgressError NO_SERVICE, NO_PORT or NO_ENDPOINTS. */
export function createServiceResolver(storage: Storage, random: () => number = Math.random): ResolveService {
  return (target) => {
    const { namespace, name } = target;
    const entry = storage.of(resources.Service).get(keyFor(resources.Service, { namespace, name }));
    if (!entry) throw new EgressError("NO_SERVICE", `service ${JSON.stringify(name)} not found`);
    return endpointOf(entry.object as Service, slicesOf(storage, namespace, name), target.port, random);
  };
}

function slicesOf(storage: Storage, namespace: string, service: string): EndpointSlice[] {
  return storage
    .of(resources.EndpointSlice)
    .under(prefixFor(resources.EndpointSlice, namespace))
    .map(({ object }) => object as EndpointSlice)
    .filter(({ metadata }) => metadata.labels?.[ownerLabel] === service);
}

/** Whether anything is known of where a Service leads, if only that there is nobody ready. */
export const hasSlices = (storage: Storage, namespace: string, service: string): boolean =>
  slicesOf(storage, namespace, service).length > 0;

/**
 * One ready endpoint of a Service for one of its ports, chosen at random, of the Service's first family if there is one.
 * A Service of type ExternalName is reached at its name. Throws EgressError NO_PORT or NO_ENDPOINTS in upstream's words
 * (apiserver `util/proxy`).
 */
export function endpointOf(
  { metadata, spec }: Service,
  slices: readonly EndpointSlice[],
  port: number,
  random: () => number,
): Endpoint {
  if (spec?.type === "ExternalName") return { host: spec.externalName ?? "", port };
  const servicePort = spec?.ports?.find((one) => one.port === port);
  if (!servicePort)
    throw new EgressError("NO_PORT", `no service port ${port} found for service ${JSON.stringify(metadata.name)}`);
  const family = spec?.ipFamilies?.[0] ?? "IPv4";
  const found = slices.flatMap((slice) => {
    const listening = slice.ports?.find(({ name = "" }) => name === (servicePort.name ?? ""))?.port;
    if (listening === undefined || slice.addressType === "FQDN") return [];
    return (slice.endpoints ?? []).flatMap(({ addresses, conditions }) => {
      const [host] = addresses;
      if (host === undefined || conditions?.ready === false) return [];
      return [{ host, port: listening, preferred: slice.addressType === family }];
    });
  });
  const preferred = found.filter((one) => one.preferred);
  const choice = preferred.length > 0 ? preferred : found;
  const chosen = choice[Math.floor(random() * choice.length)];
  if (!chosen)
    throw new EgressError("NO_ENDPOINTS", `no endpoints available for service ${JSON.stringify(metadata.name)}`);
  return { host: chosen.host, port: chosen.port };
}
