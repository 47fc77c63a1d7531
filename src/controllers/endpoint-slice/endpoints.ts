import type { Container, DiscoveryEndpointPort, Endpoint, Node, Pod, Service, ServicePort } from "../../kube/index.ts";
import { isReady, isTerminal } from "../pods.ts";

export type AddressType = "IPv4" | "IPv6";

/** A pod as an endpoint of a Service, with the numbers that the Service's ports have there. */
export interface PodEndpoint {
  readonly endpoint: Endpoint;
  readonly ports: readonly DiscoveryEndpointPort[];
}

/** Families a Service wants addresses of. */
export const addressTypesOf = ({ spec }: Service): readonly AddressType[] =>
  (spec?.ipFamilies as AddressType[] | undefined) ?? ["IPv4"];

/** True for Services whose endpoints follow from a selector. */
export const hasSelector = ({ spec }: Service): boolean =>
  spec?.type !== "ExternalName" && Object.keys(spec?.selector ?? {}).length > 0;

export const isHeadless = ({ spec }: Service): boolean => spec?.clusterIP === "None";

const isIPv6 = (ip: string): boolean => ip.includes(":");

/** The addresses of a pod in one family. */
export function addressOf({ status }: Pod, type: AddressType): string | undefined {
  const addresses = status?.podIPs?.map(({ ip }) => ip) ?? [];
  if (addresses.length === 0 && status?.podIP) addresses.push(status.podIP);
  return addresses.find((ip) => isIPv6(ip) === (type === "IPv6"));
}

/**
 * The endpoint that a pod is for a Service; undefined when it is none: it has no address of that family, or has come to its end.
 * Conditions as KEP-1672 has them: a pod that leaves is still `serving` while it is ready, but no longer `ready`.
 */
export function endpointOf(
  service: Service,
  pod: Pod,
  node: Node | undefined,
  type: AddressType,
): PodEndpoint | undefined {
  const address = addressOf(pod, type);
  if (!address || isTerminal(pod)) return undefined;
  const { metadata, spec } = pod;
  const serving = isReady(pod);
  const terminating = metadata.deletionTimestamp !== undefined;
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
  const zone = node?.metadata.labels?.["topology.kubernetes.io/zone"];
  const hostname = hostnameOf(service, pod);
  const hints = ready ? hintsOf(service, zone, spec.nodeName) : undefined;
  return {
    ports: portsOf(service, pod),
    endpoint: {
      addresses: [address],
      conditions: { ready, serving, terminating },
      targetRef: {
        kind: "Pod",
        ...(metadata.namespace ? { namespace: metadata.namespace } : {}),
        name: metadata.name,
        ...(metadata.uid ? { uid: metadata.uid } : {}),
      },
      ...(spec.nodeName ? { nodeName: spec.nodeName } : {}),
      ...(zone ? { zone } : {}),
      ...(hostname ? { hostname } : {}),
      ...(hints ? { hints } : {}),
    },
  };
}

/** A pod's own name in the Service's domain. */
export function hostnameOf(service: Service, { metadata, spec }: Pod): string | undefined {
  const isOurs = spec.subdomain === service.metadata.name && metadata.namespace === service.metadata.namespace;
  return isOurs ? spec.hostname : undefined;
}

/** KEP-4444 and KEP-3015: who should prefer this endpoint. */
function hintsOf({ spec }: Service, zone: string | undefined, nodeName: string | undefined): Endpoint["hints"] {
  const wish = spec?.trafficDistribution;
  if (!zone && wish !== "PreferSameNode") return undefined;
  const forZones = zone ? { forZones: [{ name: zone }] } : {};
  if (wish === "PreferClose" || wish === "PreferSameZone") return forZones;
  if (wish === "PreferSameNode" && nodeName) return { ...forZones, forNodes: [{ name: nodeName }] };
  return undefined;
}

/** The ports of a Service as this pod has them; a named port that the pod doesn't have is left out. */
export function portsOf(service: Service, pod: Pod): DiscoveryEndpointPort[] {
  return (service.spec?.ports ?? []).flatMap((port) => {
    const number = targetPortOf(port, pod);
    if (number === undefined) return [];
    const { name = "", protocol = "TCP", appProtocol } = port;
    return [{ name, port: number, protocol, ...(appProtocol ? { appProtocol } : {}) }];
  });
}

/** The number of the port that a Service's port leads to in this pod. */
export function targetPortOf(
  { port, targetPort = port, protocol = "TCP" }: ServicePort,
  { spec }: Pod,
): number | undefined {
  if (typeof targetPort === "number") return targetPort || port;
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const named = (container: Container) =>
    container.ports?.find((candidate) => candidate.name === targetPort && (candidate.protocol ?? "TCP") === protocol);
  for (const container of [...spec.containers, ...sidecars]) {
    const found = named(container);
    if (found) return found.containerPort;
  }
  return undefined;
}
