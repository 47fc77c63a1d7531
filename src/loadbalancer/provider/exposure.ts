import { parseIp, type Ingress, type IpFamily, type Node, type Service } from "../../kube/index.ts";
import { requestOf } from "../request.ts";
import type { Capabilities, Exposure, ExposureKey, ExposureTarget, PortProtocol } from "./contract.ts";

const excluded = "node.kubernetes.io/exclude-from-external-load-balancers";

export function ownerKey(cluster: string, { metadata }: Service | Ingress): ExposureKey {
  return { cluster, namespace: metadata.namespace ?? "", name: metadata.name, uid: metadata.uid ?? "" };
}

/** A Service as a load balancer has to have it. Pure. Throws ServiceProblem for an address that cannot be read. */
export function exposureOf(cluster: string, service: Service, nodes: readonly Node[], can: Capabilities): Exposure {
  const { spec } = service;
  const { wanted, families } = requestOf(service);
  const requested = Object.values(wanted)[0];
  const local = spec.externalTrafficPolicy === "Local" ? spec.healthCheckNodePort : undefined;
  return {
    key: ownerKey(cluster, service),
    families,
    ports: (spec.ports ?? []).map(({ name = "", protocol = "TCP", port, nodePort }) => ({
      name,
      protocol: protocol as PortProtocol,
      port,
      ...(nodePort ? { nodePort } : {}),
    })),
    targets: targetsOf(nodes, families),
    sourceRanges: [...(spec.loadBalancerSourceRanges ?? [])].map((range) => range.trim()).sort(),
    sessionAffinity: spec.sessionAffinity === "ClientIP" ? "ClientIP" : "None",
    ...(local ? { healthCheckNodePort: local } : {}),
    ...(requested === undefined ? {} : { requestedAddress: requested }),
    annotations: annotationsFor(service, can),
  };
}

/** Nodes that may take packets of a load balancer, by name. */
export function targetsOf(nodes: readonly Node[], families: readonly IpFamily[]): readonly ExposureTarget[] {
  const isTarget = ({ metadata: { labels, deletionTimestamp }, spec: of }: Node) =>
    !deletionTimestamp &&
    labels?.[excluded] === undefined &&
    !of?.taints?.some(({ key }) => key === "ToBeDeletedByClusterAutoscaler");
  const targets = nodes.filter(isTarget).map(({ metadata: { name }, spec: of, status }) => ({
    node: name,
    addresses: (status?.addresses ?? [])
      .filter(({ type, address }) => type === "InternalIP" && families.some((one) => parseIp(address)?.family === one))
      .map(({ address }) => address),
    ...(of?.providerID ? { providerId: of.providerID } : {}),
  }));
  return targets.filter(({ addresses }) => addresses.length > 0).sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** The annotations that a provider reads, by name. */
export function annotationsFor({ metadata }: Service | Ingress, can: Capabilities): Record<string, string> {
  const found = Object.entries(metadata.annotations ?? {}).filter(([name]) =>
    can.annotations.some((beginning) => name.startsWith(beginning)),
  );
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}
