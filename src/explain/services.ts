import type { EndpointSlice, Event, Pod, Service, ServicePort } from "../kube/index.ts";
import type { FrontendState } from "../proxy/index.ts";
import type { ClusterObjects, Exposure } from "./exposure.ts";
import { type AnnouncementOf, holdingsOf } from "./held.ts";
import { at, type Place, realisedOf, textOf } from "./places.ts";
import { newest, whyNotReady } from "./pods.ts";
import { slicesByService } from "./slices.ts";

export interface ServiceOptions {
  readonly clusterDomain: string;
  /** Services that answer elsewhere than their objects say, or not at all, as the node's proxy has it. */
  readonly frontends: readonly FrontendState[];
  /** How addresses are announced. Absent: nothing is known of it. */
  readonly announcement?: AnnouncementOf;
}

/** What each Service exposes: a row for each way it can be reached. */
export function serviceExposures(objects: ClusterObjects, options: ServiceOptions): Exposure[] {
  const slices = slicesByService(objects.slices);
  return objects.services.flatMap((service) => {
    const own = slices.get(`${service.metadata.namespace}/${service.metadata.name}`) ?? [];
    return exposuresOf(service, own, objects, options);
  });
}

function exposuresOf(
  service: Service,
  slices: readonly EndpointSlice[],
  objects: ClusterObjects,
  { clusterDomain, frontends, announcement = () => undefined }: ServiceOptions,
): Exposure[] {
  const { name, namespace = "" } = service.metadata;
  const { type = "ClusterIP", ports = [] } = service.spec;
  const names = [`${name}.${namespace}.svc.${clusterDomain}`];
  const base = { namespace, kind: "Service", name } as const;
  if (type === "ExternalName") {
    return [{ ...base, way: "ExternalName", addresses: [service.spec.externalName ?? ""], names }];
  }
  const endpoints = countEndpoints(slices);
  const why = endpoints.ready > 0 ? undefined : whyNoEndpoint(service, slices, objects);
  const realised = realisedOf(frontends.filter((frontend) => frontend.service === `${namespace}/${name}`));
  const row = (way: Exposure["way"], places: readonly Place[], dns: readonly string[], reason = why): Exposure => {
    const problem = reason ?? realised.problem(way, places);
    return {
      ...base,
      way,
      addresses: [...new Set(places.map((place) => textOf(realised.place(way, place))))],
      names: dns,
      endpoints,
      ...(problem === undefined ? {} : { reason: problem }),
    };
  };
  if (service.spec.clusterIP === "None") return [row("Headless", readyPlaces(slices), names)];
  const clusterIPs = service.spec.clusterIPs ?? (service.spec.clusterIP ? [service.spec.clusterIP] : []);
  const rows = [row("ClusterIP", at(clusterIPs, ports, "port"), names)];
  if (type === "ClusterIP") return rows;
  if (ports.some((port) => port.nodePort))
    rows.push(row("NodePort", at(nodeAddresses(objects), ports, "nodePort"), []));
  if (type === "LoadBalancer") {
    const given = service.status?.loadBalancer?.ingress ?? [];
    const addresses = given.flatMap((ingress) => ingress.ip ?? ingress.hostname ?? []);
    const pending = addresses.length > 0 ? why : whyPending(service, objects.events);
    const faults = addresses.map((address) => announcement(address)?.fault);
    const unheld = faults.find((fault) => fault?.isFatal)?.problem;
    const held = holdingsOf(service, announcement);
    rows.push({
      ...row("LoadBalancer", at(addresses, ports, "port"), [], pending ?? unheld),
      ...(held.length > 0 ? { held } : {}),
    });
  }
  return rows;
}

function nodeAddresses({ nodes }: ClusterObjects): string[] {
  return nodes.flatMap((node) =>
    (node.status?.addresses ?? []).flatMap(({ type, address }) => (type === "InternalIP" ? address : [])),
  );
}

/** Whether an endpoint gets new requests: readiness that is not known counts as ready (discovery.k8s.io/v1). */
const isReady = (endpoint: NonNullable<EndpointSlice["endpoints"]>[number]) => endpoint.conditions?.ready ?? true;

function countEndpoints(slices: readonly EndpointSlice[]): { ready: number; total: number } {
  const ready = new Map<string, boolean>();
  for (const endpoint of slices.flatMap((slice) => slice.endpoints ?? [])) {
    // One address can be in two slices, when ports have different numbers.
    for (const address of endpoint.addresses) ready.set(address, isReady(endpoint) || ready.get(address) === true);
  }
  return { ready: [...ready.values()].filter(Boolean).length, total: ready.size };
}

function readyPlaces(slices: readonly EndpointSlice[]): Place[] {
  return slices.flatMap((slice) =>
    (slice.endpoints ?? [])
      .filter(isReady)
      .flatMap((endpoint) => at(endpoint.addresses, (slice.ports ?? []) as ServicePort[], "port")),
  );
}

function whyNoEndpoint(service: Service, slices: readonly EndpointSlice[], objects: ClusterObjects): string {
  const { selector } = service.spec;
  if (!selector || Object.keys(selector).length === 0) {
    return "the Service has no selector, and no EndpointSlice gives it endpoints";
  }
  const wanted = Object.entries(selector);
  const pods = objects.pods.filter(
    (pod) =>
      pod.metadata.namespace === service.metadata.namespace &&
      wanted.every(([key, value]) => pod.metadata.labels?.[key] === value),
  );
  if (pods.length === 0) return `no pod has the labels ${wanted.map(([k, v]) => `${k}=${v}`).join(",")}`;
  const reasons = pods.map((pod) => ({ pod, why: whyNotReady(pod, objects.events) }));
  const first = reasons.find(({ why }) => why !== undefined);
  const ready = reasons.filter(({ why }) => why === undefined).length;
  if (!first) return whyUnlisted(service, slices, pods);
  return `${ready} of ${pods.length} pods ready: ${first.pod.metadata.name} ${first.why}`;
}

/** Ready pods that are no endpoints: the Service names a port that they do not have. */
function whyUnlisted(service: Service, slices: readonly EndpointSlice[], pods: readonly Pod[]): string {
  const declared = new Set(
    pods.flatMap((pod) => pod.spec.containers.flatMap((c) => (c.ports ?? []).map((port) => port.name))),
  );
  const missing = (service.spec.ports ?? []).find(
    ({ targetPort }) => typeof targetPort === "string" && !declared.has(targetPort),
  );
  if (missing)
    return `no pod has a port named ${JSON.stringify(missing.targetPort)} (targetPort of port ${missing.port})`;
  return slices.length === 0 ? "the pods are ready, their EndpointSlice is not written yet" : "no endpoint is ready";
}

/** A load balancer without an address: whoever gives addresses says why in a condition or an event. */
function whyPending(service: Service, events: readonly Event[]): string {
  const condition = service.status?.conditions?.find((c) => c.status === "False" && c.message);
  if (condition) return condition.message;
  const about = events.filter(
    ({ involvedObject: o, type }) =>
      type === "Warning" &&
      o.kind === "Service" &&
      o.namespace === service.metadata.namespace &&
      o.name === service.metadata.name,
  );
  const said = newest(about)?.message;
  if (said !== undefined) return said;
  const named = service.spec.loadBalancerClass;
  return named === undefined || named.startsWith("fairlead.dev/")
    ? "no address has been given yet"
    : `class ${JSON.stringify(named)} is for another controller, which has not answered`;
}
