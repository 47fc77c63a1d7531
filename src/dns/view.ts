import { serviceNameLabel } from "../services/index.ts";
import { resources, type EndpointSlice, type Service } from "../kube/index.ts";
import type { Informers } from "../client/index.ts";
import { dashed } from "./names.ts";

/** What of the cluster its names depend on. */
export interface ClusterView {
  service(namespace: string, name: string): Service | undefined;
  /** EndpointSlices of a Service. */
  slices(namespace: string, service: string): readonly EndpointSlice[];
  hasNamespace(name: string): boolean;
  hasPod(namespace: string, ip: string): boolean;
  /** Services with this cluster address. */
  servicesAt(ip: string): readonly Service[];
  /** EndpointSlices with an endpoint at this address. */
  slicesAt(ip: string): readonly EndpointSlice[];
}

/** The view that informers keep up to date; it is complete when `synced` has settled. */
export function createClusterView(informers: Informers): ClusterView & { readonly synced: Promise<void> } {
  const services = informers.of(resources.Service, { "dns/address": clusterAddresses });
  const slices = informers.of(resources.EndpointSlice, {
    "dns/service": (slice) => [sliceKey(slice.metadata.namespace ?? "", serviceOf(slice))],
    "dns/address": (slice) => slice.endpoints?.flatMap((endpoint) => endpoint.addresses) ?? [],
  });
  const namespaces = informers.of(resources.Namespace);
  const pods = informers.of(resources.Pod, {
    "dns/address": ({ metadata, status }) =>
      (status?.podIPs ?? []).flatMap(({ ip }) => (ip ? [`${metadata.namespace}/${dashed(ip)}`] : [])),
  });
  const all = [services, slices, namespaces, pods];
  return {
    synced: Promise.all(all.map((informer) => informer.synced)).then(() => {}),
    service: (namespace, name) => services.get({ namespace, name }),
    slices: (namespace, service) => slices.by("dns/service", sliceKey(namespace, service)),
    hasNamespace: (name) => namespaces.get({ name }) !== undefined,
    hasPod: (namespace, ip) => pods.by("dns/address", `${namespace}/${dashed(ip)}`).length > 0,
    servicesAt: (ip) => services.by("dns/address", ip),
    slicesAt: (ip) => slices.by("dns/address", ip),
  };
}

/** Addresses of a Service that has any: not of a headless one. */
export function clusterAddresses({ spec }: Service): readonly string[] {
  const addresses = spec?.clusterIPs ?? (spec?.clusterIP ? [spec.clusterIP] : []);
  return addresses.filter((address) => address !== "None");
}

export function serviceOf(slice: EndpointSlice): string {
  return slice.metadata.labels?.[serviceNameLabel] ?? "";
}

function sliceKey(namespace: string, service: string): string {
  return `${namespace}/${service}`;
}
