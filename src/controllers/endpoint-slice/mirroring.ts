import { startController } from "../../client/index.ts";
import {
  type Endpoint,
  type EndpointAddress,
  type Endpoints,
  type EndpointSubset,
  keyOf,
  nameOfKey,
  resources,
  type Service,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import type { AddressType } from "./endpoints.ts";
import { type EndpointGroup, groupByPorts } from "./plan.ts";
import { serviceNameLabel } from "../../services/index.ts";
import { createSliceWriter, managedByLabel, sliceIndex } from "./slices.ts";

const manager = "endpointslicemirroring-controller.k8s.io";
/** Endpoints in one slice, and addresses of one subset that are mirrored at all. */
const limit = 1000;
const notMirrored = new Set([
  "kubectl.kubernetes.io/last-applied-configuration",
  "endpoints.kubernetes.io/last-change-trigger-time",
]);

/** Copies Endpoints that someone made for a Service without selector into EndpointSlices, which is what proxies read. */
export function startEndpointSliceMirroring(context: ControllerContext): Component {
  const { client, informers } = context;
  const services = informers.of(resources.Service);
  const endpoints = informers.of(resources.Endpoints);
  const slices = informers.of(resources.EndpointSlice, sliceIndex);
  const writer = createSliceWriter(client, slices, manager);

  const reconcile = async (key: string): Promise<void> => {
    const service = services.get(nameOfKey(key));
    const source = endpoints.get(nameOfKey(key));
    const wanted = service !== undefined && source !== undefined && isMirrored(service, source);
    if (!wanted)
      return writer.write(
        { service: key, owner: emptyOwner, frame: { labels: {}, annotations: {} }, groups: new Map() },
        limit,
      );
    const annotations = Object.entries(source.metadata.annotations ?? {}).filter(([name]) => !notMirrored.has(name));
    const frame = { labels: source.metadata.labels ?? {}, annotations: Object.fromEntries(annotations) };
    const owner = { ...source, apiVersion: "v1", kind: "Endpoints" };
    return writer.write({ service: key, owner, frame, groups: groupsOf(source.subsets ?? []) }, limit);
  };

  const controller = startController({
    ...context,
    name: "endpointslicemirroring",
    reconcile,
    after: [services.synced, endpoints.synced, slices.synced],
  });
  services.onChange(({ before, after }) => {
    const service = after ?? before;
    if (service && endpoints.get(nameOfKey(keyOf(service)))) controller.enqueue(keyOf(service));
  });
  endpoints.onChange(({ before, after }) => {
    const source = after ?? before;
    if (source) controller.enqueue(keyOf(source));
  });
  slices.onChange(({ before, after }) => {
    const { labels, namespace = "" } = (after ?? before)?.metadata ?? {};
    if (labels?.[managedByLabel] !== manager) return;
    controller.enqueue(keyOf({ metadata: { namespace, name: labels[serviceNameLabel] ?? "" } }));
  });
  return controller;
}

/** Owner of nothing: used where slices are only removed. */
const emptyOwner = { apiVersion: "v1", kind: "Endpoints", metadata: { name: "" } };

const isMirrored = ({ spec }: Service, { metadata }: Endpoints): boolean =>
  !spec?.selector &&
  spec?.type !== "ExternalName" &&
  !metadata.deletionTimestamp &&
  metadata.labels?.["endpointslice.kubernetes.io/skip-mirror"] !== "true" &&
  metadata.annotations?.["control-plane.alpha.kubernetes.io/leader"] === undefined;

/** Endpoints of each family that has any. */
export function groupsOf(subsets: readonly EndpointSubset[]): Map<AddressType, readonly EndpointGroup[]> {
  const groups = new Map<AddressType, readonly EndpointGroup[]>();
  for (const type of ["IPv4", "IPv6"] as const) {
    const found = subsets.flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }) => {
      const all = [
        ...addresses.map((address) => mirrored(address, true)),
        ...notReadyAddresses.map((address) => mirrored(address, false)),
      ];
      const named = ports.map((port) => ({ ...port, name: port.name ?? "" }));
      return all
        .filter(({ addresses: [ip = ""] }) => ip.includes(":") === (type === "IPv6"))
        .slice(0, limit)
        .map((endpoint) => ({ endpoint, ports: named }));
    });
    if (found.length > 0) groups.set(type, groupByPorts(found));
  }
  return groups;
}

const mirrored = ({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint => ({
  addresses: [ip],
  conditions: { ready },
  ...(hostname ? { hostname } : {}),
  ...(nodeName ? { nodeName } : {}),
  ...(targetRef ? { targetRef } : {}),
});
